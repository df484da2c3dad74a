/*
 * background-snapshot: the source's course, and write protection with userfaultfd.
 *
 * Belongs to the migration thread.  It holds the machine lock only while the machine is
 * frozen.  From then to snapshot_end() a thread that writes to a page that is not out yet
 * sleeps until this thread has sent it, whatever lock it holds; so this thread takes no
 * lock of others meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "src-snapshot.h"

#include <poll.h>

#include "config.h"
#include "globalstate.h"
#include "postcopy-ram/support.h"
#include "savevm.h"
#include "src-rates.h"
#include "state.h"
#include "stream-internal.h"
#include "system/cpus.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/log.h"
#include "util/uffd.h"
#include "util/util.h"

#define EVENTS 64

/* [m] all of it. */
struct Snapshot {
    int uffd;
    unsigned registered;  /* blocks of m->ram, from the first on */
    bool unpopulated;     /* the kernel protects memory that is not present, too */
    Stream *devices;      /* device state of the moment */
};

/* ---- what the host can do ---- */

static uint64_t features_needed(void)
{
    uint64_t features = UFFD_FEATURE_PAGEFAULT_FLAG_WP;

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        if (rb->fd >= 0 || rb->shared || rb->page_size > (size_t)getpagesize()) {
            features |= UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
        }
    }
    return features;
}

static int open_uffd(bool *ret_unpopulated, Error **errp)
{
    uint64_t features = features_needed();
    int fd = uffd_open(postcopy_uffd_ways(), features | UFFD_FEATURE_WP_UNPOPULATED, NULL, NULL);

    *ret_unpopulated = fd >= 0;
    return fd >= 0 ? fd : uffd_open(postcopy_uffd_ways(), features, NULL, errp);
}

static bool register_block(int uffd, const RAMBlock *rb, Error **errp)
{
    uint64_t ioctls = 0;

    if (!uffd_register(uffd, rb->host, rb->used_length, UFFDIO_REGISTER_MODE_WP, &ioctls, errp)) {
        error_prefix(errp, "RAM block '%s': ", rb->idstr);
        return false;
    }
    if (!(ioctls & (1ULL << _UFFDIO_WRITEPROTECT))) {
        error_setg(errp, "RAM block '%s': userfaultfd cannot protect its memory", rb->idstr);
        uffd_unregister(uffd, rb->host, rb->used_length, NULL);
        return false;
    }
    return true;
}

bool snapshot_supported(Error **errp)
{
    bool unpopulated, ok = true;
    g_auto(AutoFd) uffd = open_uffd(&unpopulated, errp);

    if (uffd < 0) {
        error_prefix(errp, "this kernel cannot protect memory: ");
        return false;
    }
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        ok = ok && rb->used_length && register_block(uffd, rb, errp) &&
             uffd_unregister(uffd, rb->host, rb->used_length, errp);
    }
    return ok;
}

/* ---- freeze ---- */

static bool register_all(Migration *m, Error **errp)
{
    Snapshot *sn = m->snapshot;

    for (; sn->registered < m->ram->n_blocks; sn->registered++) {
        if (!register_block(sn->uffd, m->ram->blocks[sn->registered].rb, errp)) {
            return false;
        }
    }
    return true;
}

/* Older kernels protect only what is present: reading makes a page so. */
static void populate(const RAMBlock *rb)
{
    for (uint64_t offset = 0; offset < rb->used_length; offset += rb->page_size) {
        *(volatile const uint8_t *)(rb->host + offset);
    }
}

static bool protect_all(Migration *m, Error **errp)
{
    for (unsigned i = 0; i < m->ram->n_blocks; i++) {
        const RAMBlock *rb = m->ram->blocks[i].rb;

        if (!uffd_write_protect(m->snapshot->uffd, rb->host, rb->used_length, true, errp)) {
            error_prefix(errp, "RAM block '%s': ", rb->idstr);
            return false;
        }
    }
    return true;
}

/* Machine lock held, machine stopped: all that is saved is of this moment. */
static bool take_moment(Migration *m, Error **errp)
{
    m->snapshot->devices = stream_new_output_memory();
    cpu_synchronize_all();
    return savevm_save_devices(m, m->snapshot->devices, errp) && protect_all(m, errp);
}

/* Main thread: what runs when the machine starts may write to memory, and wait for us. */
static void go_on_bh(void *opaque)
{
    Migration *m = opaque;

    if (runstate_check(RUN_STATE_PAUSED)) {
        vm_start();
    }
    stat_set(m->stats.downtime_ms, host_clock_ms() - stat_get(m->stats.stop_ms));
}

static bool freeze(Migration *m, Error **errp)
{
    bool was_running, ok;

    if (!m->snapshot->unpopulated) {
        for (unsigned i = 0; i < m->ram->n_blocks; i++) {
            populate(m->ram->blocks[i].rb);
        }
    }
    MACHINE_LOCK_GUARD();
    was_running = runstate_is_running();
    globalstate_store(globalstate(), runstate_get());
    stat_set(m->stats.stop_ms, host_clock_ms());
    if (was_running) {
        vm_stop(RUN_STATE_PAUSED);
    }
    ok = take_moment(m, errp);
    if (was_running) {
        main_loop_call(go_on_bh, m);
    }
    return ok;
}

/* ---- drain ---- */

static void take_fault(Migration *m, uint64_t address)
{
    uint64_t offset;
    RAMBlock *rb = ramblock_from_host((void *)(uintptr_t)address, &offset);
    RamSourceBlock *b = rb ? ram_source_block(m->ram, rb->idstr) : NULL;

    if (!b) {
        error_report("userfaultfd reports 0x%" PRIx64 ", which is in no RAM block that is saved",
                     address);
        return;
    }
    offset = ROUND_DOWN(offset, (uint64_t)rb->page_size);
    trace_snapshot_fault(rb->idstr, offset);
    if (bitmap_find_next(b->dirty, (offset + rb->page_size) >> TARGET_PAGE_BITS,
                         offset >> TARGET_PAGE_BITS) < (offset + rb->page_size) >> TARGET_PAGE_BITS) {
        urgent_push(m, b, offset, rb->page_size);
    } else {
        /* It went out in between. */
        uffd_write_protect(m->snapshot->uffd, rb->host + offset, rb->page_size, false, NULL);
    }
}

void snapshot_poll(Migration *m)
{
    struct uffd_msg msgs[EVENTS];
    int n;

    do {
        n = uffd_read(m->snapshot->uffd, msgs, EVENTS, NULL);
        for (int i = 0; i < n; i++) {
            if (msgs[i].event == UFFD_EVENT_PAGEFAULT) {
                take_fault(m, msgs[i].arg.pagefault.address);
            }
        }
    } while (n == EVENTS);
}

bool snapshot_release(Migration *m, const PageRun *run, Error **errp)
{
    const RAMBlock *rb = run->b->rb;

    /* The stream only refers to the pages so far. */
    if (!stream_flush(m->out)) {
        return !stream_error(m->out, errp);
    }
    return uffd_write_protect(m->snapshot->uffd, rb->host + (run->page << TARGET_PAGE_BITS),
                              run->n << TARGET_PAGE_BITS, false, errp);
}

/* The rate window is used up; who waits for a page is served nevertheless. */
static void wait_window(Migration *m)
{
    struct pollfd p = { .fd = m->snapshot->uffd, .events = POLLIN };
    int64_t left_us = stream_rate_left_us(m->out);

    if (left_us > 0) {
        poll(&p, 1, left_us / 1000 + 1);
    }
}

static bool drain(Migration *m, Error **errp)
{
    while (ram_dirty_bytes(m->ram)) {
        if (migration_cancelled(m)) {
            return false;
        }
        stream_rate_set(m->out, mig_live(MIG_PARAM_MAX_BANDWIDTH));
        rates_update(m);
        if (!savevm_iterate(m, errp)) {
            return false;
        }
        if (stream_rate_exceeded(m->out)) {
            wait_window(m);
        }
    }
    return true;
}

/* ---- the course ---- */

static bool finish(Migration *m, Error **errp)
{
    const void *data;
    size_t len;

    stream_rate_set(m->out, 0);
    if (!savevm_complete_live(m, false, errp)) {
        return false;
    }
    data = stream_memory_data(m->snapshot->devices, &len);
    stream_put_bytes(m->out, data, len);
    savevm_send_eof(m->out);
    savevm_send_vmdesc(m, m->out);
    stream_flush(m->out);
    rates_account(m);
    return stream_close(m->out, errp);
}

bool snapshot_course(Migration *m, Error **errp)
{
    Snapshot *sn = g_new0(Snapshot, 1);

    m->snapshot = sn;
    machine_lock();
    ramblock_discard_inhibit(true); /* a page that is gone is not protected, and not as it was */
    machine_unlock();
    sn->uffd = open_uffd(&sn->unpopulated, errp);
    return sn->uffd >= 0 && register_all(m, errp) && freeze(m, errp) && drain(m, errp) &&
           finish(m, errp);
}

void snapshot_end(Migration *m)
{
    Snapshot *sn = g_steal_pointer(&m->snapshot);

    if (!sn) {
        return;
    }
    ramblock_discard_inhibit(false);
    for (unsigned i = 0; i < sn->registered; i++) {
        const RAMBlock *rb = m->ram->blocks[i].rb;

        uffd_unregister(sn->uffd, rb->host, rb->used_length, NULL);
    }
    close_fd(&sn->uffd);
    stream_free(sn->devices);
    g_free(sn);
}
