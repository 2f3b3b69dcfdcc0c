/*
 * When the last holder of a userfaultfd is gone, missing pages read as zero, silently. So the pager is a child
 * that shares its table of descriptors with this process: what it receives, from CRIU or with a fork event, is
 * held here from the same moment. When it dies, or is stuck and killed for that, a successor goes on from what is
 * kept in the arena; when that is not possible the container is ended while its descriptors are still open. A pager
 * whose supervisor dies ends the container as well: nothing would hold the descriptors behind it.
 *
 * Nothing here allocates, opens or waits for anybody but the pager.
 */
#include "pager.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_SUCCESSORS 8     /* as often as the plane lets a session resume */
#define LOOK_S 1             /* between two looks at whether the pager's loop still turns */
#define MAX_LOOKS 4          /* that see no turn; looks, not time: a guest may have stood still */

static sigset_t signals;

static pid_t start(void (*serve)(void))
{
	pid_t supervisor = getpid();
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid)
		return pid;
	pager.supervisor = supervisor;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != supervisor)
		raise(SIGTERM); /* it is blocked, and read by the loop */
	serve();
	exit(0);
}

/* A pager that was not ready yet, or that does not serve, is waited for by others. */
static bool is_stuck(bool stopping)
{
	static uint64_t turns;
	static unsigned looks;
	looks = kept->turns == turns && (kept->ready_at_us || stopping) ? looks + 1 : 0;
	turns = kept->turns;
	if (looks < MAX_LOOKS)
		return false;
	looks = 0;
	return true;
}

/* Its wait status. SIGTERM is passed on; a pager that is stuck is killed. */
static int wait_for(pid_t pid, bool *stopping)
{
	const struct timespec look = { .tv_sec = LOOK_S };
	for (;;) {
		int status, signal = sigtimedwait(&signals, NULL, &look);
		if (signal == SIGTERM || signal == SIGINT) {
			*stopping = true;
			kill(pid, SIGTERM);
		} else if (signal < 0 && errno == EAGAIN && is_stuck(*stopping)) {
			say("pager is stuck: no sign of it within %u s", MAX_LOOKS * LOOK_S);
			kill(pid, SIGKILL);
		}
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
	}
}

static void tell_death(int status, char *text, size_t bytes)
{
	if (WIFSIGNALED(status))
		snprintf(text, bytes, "pager killed by signal %d", WTERMSIG(status));
	else
		snprintf(text, bytes, "pager ended with exit code %d", WEXITSTATUS(status));
}

static _Noreturn void give_up(const char *death, const char *when)
{
	for (struct task *task = kept->tasks; task; task = task->next)
		if (task->frame_of)
			task_reset(task);
	pager_fail("%s%s", death, when);
}

void supervise(void (*serve)(void))
{
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (bool stopping = false;;) {
		char death[64];
		pid_t pid = start(serve);
		if (pid < 0)
			pager_fail("supervisor: start of a pager: %s", strerror(errno));
		int status = wait_for(pid, &stopping);
		if (WIFEXITED(status) && (!WEXITSTATUS(status) || kept->failed))
			exit(WEXITSTATUS(status));
		tell_death(status, death, sizeof(death));
		if (stopping)
			give_up(death, " after it was told to end");
		if (kept->failing)
			give_up(death, " while it ended the container");
		if (!kept->ready_at_us || !kept->map_sealed)
			give_up(death, " before it was ready");
		if (kept->successors == MAX_SUCCESSORS)
			give_up(death, ", as its predecessors were");
		kept->successors++;
		say("%s: successor %u of %u", death, kept->successors, MAX_SUCCESSORS);
	}
}
