/*
 * The dirty ring: each vCPU has a ring, shared with the kernel, of pages that it wrote.
 *
 * Entries are collected by the migration side (dirty_sync) and by a vCPU thread whose
 * ring is full; both hold the slot lock.  The order is: collect, let the kernel protect
 * the pages again, and only then publish the bits in RAMBlock.dirty.  So a page that
 * the migration thread finds there is protected already, and a later write to it makes
 * a new entry.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/mman.h>

#include "kvm-int.h"
#include "trace/accel_kvm.h"
#include "util/util.h"

GPtrArray *kvm_vcpus;

uint32_t kvm_ring_entries(void)
{
    return kvm.ring_entries;
}

bool kvm_ring_enable(uint32_t entries, Error **errp)
{
    int cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    int max = kvm_check_cap(cap);
    struct kvm_enable_cap e = { 0 };
    uint32_t bytes = entries * sizeof(struct kvm_dirty_gfn);

    if (!max) {
        cap = KVM_CAP_DIRTY_LOG_RING;
        max = kvm_check_cap(cap);
    }
    if (!max) {
        error_setg(errp, "dirty-ring-size=%u: this kernel's KVM has no dirty ring", entries);
        return false;
    }
    if (bytes > (uint32_t)max || bytes < (uint32_t)getpagesize()) {
        error_setg(errp, "dirty-ring-size=%u: this kernel's KVM takes %zu to %zu", entries,
                   getpagesize() / sizeof(struct kvm_dirty_gfn),
                   max / sizeof(struct kvm_dirty_gfn));
        return false;
    }
    e.cap = cap;
    e.args[0] = bytes;
    if (kvm_ioctl(kvm.vm_fd, KVM_ENABLE_CAP, &e) < 0) {
        error_setg_errno(errp, errno, "dirty-ring-size=%u: KVM cannot enable it", entries);
        return false;
    }
    kvm.ring_entries = entries;
    return true;
}

bool kvm_ring_map(KvmVcpu *v, Error **errp)
{
    size_t len = kvm.ring_entries * sizeof(struct kvm_dirty_gfn);
    void *p;

    if (!kvm.ring_entries) {
        return true;
    }
    p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
             (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * getpagesize());
    if (p == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map the dirty ring");
        return false;
    }
    kvm_slots_lock();
    v->ring = p;
    if (!kvm_vcpus) {
        kvm_vcpus = g_ptr_array_new();
    }
    g_ptr_array_add(kvm_vcpus, v);
    kvm_slots_unlock();
    return true;
}

void kvm_ring_unmap(KvmVcpu *v)
{
    if (v->ring) {
        kvm_slots_lock();
        g_ptr_array_remove(kvm_vcpus, v);
        munmap(v->ring, kvm.ring_entries * sizeof(struct kvm_dirty_gfn));
        v->ring = NULL;
        kvm_slots_unlock();
    }
}

static unsigned collect(KvmVcpu *v)
{
    unsigned n = 0;

    for (;;) {
        struct kvm_dirty_gfn *g = &v->ring[v->ring_next & (kvm.ring_entries - 1)];

        if (!(__atomic_load_n(&g->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) {
            break;
        }
        kvm_slot_mark_page(g->slot, g->offset);
        __atomic_store_n(&g->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        v->ring_next++;
        n++;
    }
    __atomic_fetch_add(&v->cpu->parent.ring_pages, n, __ATOMIC_RELAXED);
    return n;
}

bool kvm_ring_reap_locked(unsigned *ret_entries, Error **errp)
{
    unsigned n = 0;

    for (unsigned i = 0; kvm_vcpus && i < kvm_vcpus->len; i++) {
        n += collect(g_ptr_array_index(kvm_vcpus, i));
    }
    trace_kvm_ring_reap(n);
    if (ret_entries) {
        *ret_entries = n;
    }
    if (n && kvm_ioctl(kvm.vm_fd, KVM_RESET_DIRTY_RINGS, NULL) < 0) {
        error_setg_errno(errp, errno, "KVM cannot reset the dirty rings");
        return false;
    }
    kvm_slots_publish();
    return true;
}

bool kvm_ring_reap(unsigned *ret_entries, Error **errp)
{
    bool ok;

    kvm_slots_lock();
    ok = kvm_ring_reap_locked(ret_entries, errp);
    kvm_slots_unlock();
    return ok;
}
