/*
 * userfaultfd wrappers.  No state of their own but the device, opened at start-up; any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/util.h"
#include "util/fault.h"
#include "util/util.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static const struct {
    enum UffdWay way;
    const char *name;
} ways_table[] = {
    { UFFD_WAY_DEVICE, "/dev/userfaultfd" },
    { UFFD_WAY_SYSCALL, "system call" },
    { UFFD_WAY_USER_ONLY, "system call, user mode only" },
};

static const struct {
    uint64_t bit;
    const char *name;
} feature_names[] = {
    { UFFD_FEATURE_PAGEFAULT_FLAG_WP, "pagefault-flag-wp" },
    { UFFD_FEATURE_EVENT_FORK, "event-fork" },
    { UFFD_FEATURE_EVENT_REMAP, "event-remap" },
    { UFFD_FEATURE_EVENT_REMOVE, "event-remove" },
    { UFFD_FEATURE_MISSING_HUGETLBFS, "missing-hugetlbfs" },
    { UFFD_FEATURE_MISSING_SHMEM, "missing-shmem" },
    { UFFD_FEATURE_EVENT_UNMAP, "event-unmap" },
    { UFFD_FEATURE_SIGBUS, "sigbus" },
    { UFFD_FEATURE_THREAD_ID, "thread-id" },
    { UFFD_FEATURE_MINOR_HUGETLBFS, "minor-hugetlbfs" },
    { UFFD_FEATURE_MINOR_SHMEM, "minor-shmem" },
    { UFFD_FEATURE_EXACT_ADDRESS, "exact-address" },
    { UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "wp-hugetlbfs-shmem" },
    { UFFD_FEATURE_WP_UNPOPULATED, "wp-unpopulated" },
};

char *uffd_features_to_str(uint64_t features)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(feature_names); i++) {
        if (features & feature_names[i].bit) {
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", feature_names[i].name);
            features &= ~feature_names[i].bit;
        }
    }
    if (features) {
        g_string_append_printf(s, "%s0x%" PRIx64, s->len ? ", " : "", features);
    }
    return g_string_free(s, FALSE);
}

static int device_fd = -1; /* kept open from before privileges were given up */

void uffd_keep_device(void)
{
    if (device_fd < 0) {
        device_fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    }
}

/* A descriptor before its UFFDIO_API; -1 with errno set. */
static int open_raw(enum UffdWay way)
{
    const int flags = O_CLOEXEC | O_NONBLOCK;

    if (way == UFFD_WAY_DEVICE) {
        g_auto(AutoFd) dev = device_fd < 0 ? open("/dev/userfaultfd", O_RDWR | O_CLOEXEC) : -1;
        int from = device_fd < 0 ? dev : device_fd;
        return from < 0 ? -1 : ioctl(from, USERFAULTFD_IOC_NEW, flags);
    }
    return syscall(SYS_userfaultfd, way == UFFD_WAY_USER_ONLY ? flags | UFFD_USER_MODE_ONLY : flags);
}

/* Open and switch features on; -1 with errno set. */
static int open_with(enum UffdWay way, uint64_t features, struct uffdio_api *ret_api)
{
    int fd = open_raw(way);
    int saved;

    *ret_api = (struct uffdio_api){ .api = UFFD_API, .features = features };
    if (fd >= 0 && ioctl(fd, UFFDIO_API, ret_api) < 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* The kernel takes one UFFDIO_API a descriptor: one descriptor to ask, one to keep. */
static int open_way(enum UffdWay way, uint64_t features, UffdInfo *ret_info, Error **errp)
{
    struct uffdio_api api, wanted;
    int fd = open_with(way, 0, &api);

    if (fd < 0) {
        error_setg(errp, "%s", g_strerror(errno));
        return -1;
    }
    if (features & ~api.features) {
        g_autofree char *names = uffd_features_to_str(features & ~api.features);
        error_setg(errp, "the kernel lacks userfaultfd feature %s", names);
        close(fd);
        return -1;
    }
    if (features) {
        close(fd);
        fd = open_with(way, features, &wanted);
        if (fd < 0) {
            error_setg(errp, "%s", g_strerror(errno));
            return -1;
        }
    }
    *ret_info = (UffdInfo){ .way = way, .features = api.features, .ioctls = api.ioctls };
    return fd;
}

int uffd_open(unsigned ways, uint64_t features, UffdInfo *ret_info, Error **errp)
{
    g_autoptr(GString) reasons = g_string_new(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(ways_table); i++) {
        g_autoptr(Error) err = NULL;
        UffdInfo info;
        int fd;

        if (!(ways & ways_table[i].way)) {
            continue;
        }
        fd = open_way(ways_table[i].way, features, &info, &err);
        if (fd >= 0) {
            trace_uffd_open(ways_table[i].name, features, info.features);
            if (ret_info) {
                *ret_info = info;
            }
            return fd;
        }
        g_string_append_printf(reasons, "%s%s: %s", reasons->len ? "; " : "", ways_table[i].name,
                               err->message);
    }
    error_setg(errp, "no userfaultfd (%s)", reasons->str);
    return -1;
}

bool uffd_register(int fd, void *addr, uint64_t len, uint64_t mode, uint64_t *ret_ioctls,
                   Error **errp)
{
    struct uffdio_register reg = {
        .range = { .start = (uintptr_t)addr, .len = len },
        .mode = mode,
    };

    if (ioctl(fd, UFFDIO_REGISTER, &reg) < 0) {
        error_setg_errno(errp, errno, "cannot register %p+0x%" PRIx64 " with userfaultfd", addr,
                         len);
        return false;
    }
    if (ret_ioctls) {
        *ret_ioctls = reg.ioctls;
    }
    return true;
}

bool uffd_unregister(int fd, void *addr, uint64_t len, Error **errp)
{
    struct uffdio_range range = { .start = (uintptr_t)addr, .len = len };

    if (ioctl(fd, UFFDIO_UNREGISTER, &range) < 0) {
        error_setg_errno(errp, errno, "cannot unregister %p+0x%" PRIx64 " from userfaultfd", addr,
                         len);
        return false;
    }
    return true;
}

/* One placing ioctl: bytes done (may be fewer than asked for), or a negative errno. */
typedef int64_t UffdStep(int fd, uint64_t dst, uint64_t src, uint64_t len);

static int64_t step_copy(int fd, uint64_t dst, uint64_t src, uint64_t len)
{
    struct uffdio_copy c = { .dst = dst, .src = src, .len = len };

    if (fault_point(FAULT_UFFD_COPY)) {
        return -ENOMEM;
    }
    return ioctl(fd, UFFDIO_COPY, &c) == 0 || c.copy > 0 ? c.copy : -errno;
}

static int64_t step_zeropage(int fd, uint64_t dst, uint64_t src, uint64_t len)
{
    struct uffdio_zeropage z = { .range = { .start = dst, .len = len } };

    return ioctl(fd, UFFDIO_ZEROPAGE, &z) == 0 || z.zeropage > 0 ? z.zeropage : -errno;
}

static int64_t step_continue(int fd, uint64_t dst, uint64_t src, uint64_t len)
{
    struct uffdio_continue c = { .range = { .start = dst, .len = len } };

    return ioctl(fd, UFFDIO_CONTINUE, &c) == 0 || c.mapped > 0 ? c.mapped : -errno;
}

/*
 * Repeat a step until all is done.  The kernel does less than asked for when it is
 * interrupted or when a later page fails: the next step then says why.
 */
static UffdResult place(UffdStep *step, const char *what, int fd, void *dst, const void *src,
                        uint64_t len, uint64_t *ret_done, Error **errp)
{
    UffdResult result = UFFD_DONE;
    uint64_t done = 0;

    while (done < len) {
        int64_t n = step(fd, (uintptr_t)dst + done, (uintptr_t)src + done, len - done);
        if (n > 0) {
            done += n;
        } else if (n == -EEXIST) {
            result = UFFD_EXISTS;
            break;
        } else if (n == -EAGAIN) {
            sched_yield(); /* the mapping is being changed by another thread */
        } else {
            error_setg_errno(errp, -n, "userfaultfd: %s of 0x%" PRIx64 " bytes at %p failed", what,
                             len - done, (char *)dst + done);
            result = UFFD_FAILED;
            break;
        }
    }
    if (ret_done) {
        *ret_done = done;
    }
    return result;
}

UffdResult uffd_copy(int fd, void *dst, const void *src, uint64_t len, uint64_t *ret_done,
                     Error **errp)
{
    return place(step_copy, "copy", fd, dst, src, len, ret_done, errp);
}

UffdResult uffd_zeropage(int fd, void *dst, uint64_t len, uint64_t *ret_done, Error **errp)
{
    return place(step_zeropage, "zeroing", fd, dst, NULL, len, ret_done, errp);
}

UffdResult uffd_continue(int fd, void *dst, uint64_t len, uint64_t *ret_done, Error **errp)
{
    return place(step_continue, "continue", fd, dst, NULL, len, ret_done, errp);
}

bool uffd_write_protect(int fd, void *addr, uint64_t len, bool protect, Error **errp)
{
    struct uffdio_writeprotect wp = {
        .range = { .start = (uintptr_t)addr, .len = len },
        .mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
    };

    while (ioctl(fd, UFFDIO_WRITEPROTECT, &wp) < 0) {
        if (errno != EAGAIN) { /* that: the mapping is being changed by another thread */
            error_setg_errno(errp, errno, "userfaultfd: cannot %s 0x%" PRIx64 " bytes at %p",
                             protect ? "protect" : "release", len, addr);
            return false;
        }
        sched_yield();
    }
    return true;
}

bool uffd_wake(int fd, void *addr, uint64_t len, Error **errp)
{
    struct uffdio_range range = { .start = (uintptr_t)addr, .len = len };

    if (ioctl(fd, UFFDIO_WAKE, &range) < 0) {
        error_setg_errno(errp, errno, "userfaultfd: cannot wake %p+0x%" PRIx64, addr, len);
        return false;
    }
    return true;
}

int uffd_read(int fd, struct uffd_msg *ret_msgs, size_t n, Error **errp)
{
    ssize_t got = read(fd, ret_msgs, n * sizeof(*ret_msgs));

    if (got >= 0) {
        return got / sizeof(*ret_msgs);
    }
    if (errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    error_setg_errno(errp, errno, "cannot read from userfaultfd");
    return -1;
}
