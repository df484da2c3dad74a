/*
 * Guest memory to files: pmemsave and memsave.  Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "monitor/memory-save.h"

#include <fcntl.h>

#include "monitor/monitor.h"
#include "system/address-space.h"
#include "target/i386/cpu.h"
#include "util/util.h"

enum { CHUNK = 64 * 1024 };

bool memory_read_virtual(CPUState *cpu, uint64_t addr, void *buf, uint64_t len)
{
    uint8_t *p = buf;

    cpu_synchronize_state(cpu);
    while (len) {
        uint64_t n = MIN(len, TARGET_PAGE_SIZE - (addr & ~TARGET_PAGE_MASK));
        uint64_t paddr;

        if (!x86_cpu_translate(X86_CPU(cpu), addr, &paddr) || !memory_read(paddr, p, n)) {
            return false;
        }
        addr += n;
        p += n;
        len -= n;
    }
    return true;
}

static bool write_all(int fd, const uint8_t *p, size_t len, Error **errp)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            error_setg_errno(errp, errno, "An I/O error has occurred");
            return false;
        }
        p += n;
        len -= n;
    }
    return true;
}

/* cpu NULL: physical addresses. */
static bool save(CPUState *cpu, uint64_t addr, int64_t size, const char *filename, Error **errp)
{
    g_auto(AutoFd) fd = -1;
    g_autofree uint8_t *buf = g_malloc(CHUNK);

    if (size < 0) {
        error_setg(errp, "Parameter 'size' expects a number of bytes");
        return false;
    }
    fd = ferry_open(filename, O_WRONLY | O_CREAT | O_TRUNC, 0600, errp);
    if (fd < 0) {
        return false;
    }
    while (size > 0) {
        uint64_t n = MIN(size, CHUNK);

        if (!cpu) {
            memory_read(addr, buf, n); /* holes read as 0xff */
        } else if (!memory_read_virtual(cpu, addr, buf, n)) {
            error_setg(errp, "Invalid addr 0x%016" G_GINT64_MODIFIER "x/size %" G_GINT64_FORMAT
                       " specified", addr, (int64_t)n);
            return false;
        }
        if (!write_all(fd, buf, n, errp)) {
            return false;
        }
        addr += n;
        size -= n;
    }
    return true;
}

bool memory_save_physical(uint64_t addr, int64_t size, const char *filename, Error **errp)
{
    return save(NULL, addr, size, filename, errp);
}

bool memory_save_virtual(CPUState *cpu, uint64_t addr, int64_t size, const char *filename,
                         Error **errp)
{
    return save(cpu, addr, size, filename, errp);
}
