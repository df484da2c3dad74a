/*
 * Which pages have never been touched, from /proc/self/pagemap.
 *
 * Belongs to no thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "pagemap.h"

#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#include "util/util.h"

/* Opened at the first use and kept; -1: there is none. */
static int pagemap_fd(void)
{
    static gsize fd_plus_2;

    if (g_once_init_enter(&fd_plus_2)) {
        g_once_init_leave(&fd_plus_2, open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) + 2);
    }
    return (int)fd_plus_2 - 2;
}

void pagemap_prepare(void)
{
    pagemap_fd();
}

bool pagemap_read(Pagemap *pm, const RAMBlock *rb, uint64_t first, uint64_t n)
{
    uint64_t at = (uintptr_t)rb->host / TARGET_PAGE_SIZE + first;
    int fd;

    pm->rb = NULL;
    if (rb->fd >= 0 || rb->shared || rb->page_size != TARGET_PAGE_SIZE || (fd = pagemap_fd()) < 0) {
        return false;
    }
    pm->first = first;
    pm->n = MIN(MIN(n, PAGEMAP_PAGES), ramblock_pages(rb) - first);
    if (pread(fd, pm->entry, pm->n * 8, at * 8) != (ssize_t)(pm->n * 8)) {
        return false;
    }
    pm->rb = rb;
    return true;
}
