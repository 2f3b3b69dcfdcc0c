#ifndef RESHAPE_MODEL_H
#define RESHAPE_MODEL_H
#include "reshape.h"

enum outcome { RIGHT, WRONG, IN_DOUBT };
/* The task is empty, and has the pages of the run afterwards. */
enum outcome model_run(unsigned seed, int steps, struct task *task);
enum probe model_probe(uint64_t vaddr, uint64_t bytes);
#endif
