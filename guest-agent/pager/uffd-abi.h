/* <linux/userfaultfd.h>, and what Debian 12's copy of it lacks. */
#ifndef UFFD_ABI_H
#define UFFD_ABI_H
#include <linux/userfaultfd.h>

#ifndef UFFDIO_POISON /* Linux 6.6 */
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#endif
