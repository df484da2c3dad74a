/*
 * userfaultfd: this process decides what appears at a memory address when it is
 * touched for the first time.
 *
 * Thin wrappers with the kernel's partial results and retries worked out.  All of
 * them may be called from any thread; the kernel orders operations on one range.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_UFFD_H
#define FERRY_UTIL_UFFD_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* Newer than some distributions' headers: linux/userfaultfd.h since 6.4. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif

/* How a descriptor can be had, in the order in which they are tried. */
enum UffdWay {
    UFFD_WAY_DEVICE = 1 << 0,    /* /dev/userfaultfd */
    UFFD_WAY_SYSCALL = 1 << 1,   /* the system call */
    UFFD_WAY_USER_ONLY = 1 << 2, /* the system call; accesses by the kernel are not served */
};
#define UFFD_WAYS_FULL (UFFD_WAY_DEVICE | UFFD_WAY_SYSCALL)
#define UFFD_WAYS_ANY (UFFD_WAYS_FULL | UFFD_WAY_USER_ONLY)

typedef struct UffdInfo {
    enum UffdWay way;  /* the one that worked */
    uint64_t features; /* UFFD_FEATURE_* that the kernel has (not only those asked for) */
    uint64_t ioctls;   /* 1 << _UFFDIO_* on the descriptor */
} UffdInfo;

/*
 * A non-blocking, close-on-exec userfaultfd with `features` switched on, through
 * the first of `ways` (a mask) that works.  -1 with errp saying why each way
 * failed, or which features the kernel lacks.  ret_info may be NULL.
 */
int uffd_open(unsigned ways, uint64_t features, UffdInfo *ret_info, Error **errp);
/*
 * Open /dev/userfaultfd for good, for a process that soon may not or does not see it any more.
 * Without one the other ways are left.  Main thread, at start-up.
 */
void uffd_keep_device(void);

/* "thread-id, missing-shmem"; bits without a name as hexadecimal.  Free with g_free(). */
char *uffd_features_to_str(uint64_t features);

/*
 * Serve [addr, addr+len), both multiples of the mapping's page size, in `mode`
 * (UFFDIO_REGISTER_MODE_MISSING, ...).  *ret_ioctls, when not NULL, gets the
 * operations that this mapping allows as 1 << _UFFDIO_*.
 */
bool uffd_register(int fd, void *addr, uint64_t len, uint64_t mode, uint64_t *ret_ioctls,
                   Error **errp);
/* Stop serving; whoever waits in the range goes on. */
bool uffd_unregister(int fd, void *addr, uint64_t len, Error **errp);

typedef enum UffdResult {
    UFFD_DONE,   /* all of it */
    UFFD_EXISTS, /* stopped at a page that is there already */
    UFFD_FAILED, /* errp is set */
} UffdResult;

/*
 * Make pages appear, each one at once, and wake who waits for them: with the bytes
 * at src; zeros; or what the page cache of shared memory holds already (registered
 * with UFFDIO_REGISTER_MODE_MINOR).  *ret_done, when not NULL, gets how many bytes
 * from the start were done in any case.
 */
UffdResult uffd_copy(int fd, void *dst, const void *src, uint64_t len, uint64_t *ret_done,
                     Error **errp);
UffdResult uffd_zeropage(int fd, void *dst, uint64_t len, uint64_t *ret_done, Error **errp);
UffdResult uffd_continue(int fd, void *dst, uint64_t len, uint64_t *ret_done, Error **errp);
/*
 * From now on whoever writes to the range (registered with UFFDIO_REGISTER_MODE_WP) waits;
 * or may write again, and those who wait go on.
 */
bool uffd_write_protect(int fd, void *addr, uint64_t len, bool protect, Error **errp);
/* Let who waits in the range try again. */
bool uffd_wake(int fd, void *addr, uint64_t len, Error **errp);

/*
 * Read up to n events without waiting: how many there were (0: none), or -1 with
 * errp set.
 */
int uffd_read(int fd, struct uffd_msg *ret_msgs, size_t n, Error **errp);

#endif
