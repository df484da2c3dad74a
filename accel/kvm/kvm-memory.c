/*
 * Guest memory for KVM: one slot for each RAM region, and the dirty bitmap of the
 * slots.
 *
 * Slots change under the machine lock (memory listener) AND the slot lock; the
 * migration thread reads and re-protects them under the slot lock alone.
 *
 * The life of a dirty page with manual protection: the kernel's bitmap says it was
 * written; dirty_sync() copies that bitmap into slot->seen and into RAMBlock.dirty;
 * before the page is read for sending dirty_clear() hands exactly the bits of
 * slot->seen back to the kernel, which forgets them and protects the pages again.  A
 * write that the kernel noted after the copy is not in slot->seen, so it is never
 * forgotten.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-int.h"
#include "system/address-space.h"
#include "trace/accel_kvm.h"
#include "util/bitmap.h"
#include "util/log.h"
#include "util/util.h"

typedef struct KvmSlot {
    bool used;
    bool readonly;
    uint64_t gpa, size;
    RAMBlock *rb;
    uint64_t rb_offset;
    unsigned long *seen; /* while logging: one bit a page, see above; else NULL */
} KvmSlot;

static GMutex slot_lock;
static KvmSlot *slots;     /* slot lock; n_slots entries, the index is the kernel's number */
static unsigned n_slots;
static bool logging;       /* slot lock */
static bool clear_warned;  /* slot lock */

void kvm_slots_lock(void)
{
    g_mutex_lock(&slot_lock);
}

void kvm_slots_unlock(void)
{
    g_mutex_unlock(&slot_lock);
}

static uint64_t slot_pages(const KvmSlot *s)
{
    return s->size >> TARGET_PAGE_BITS;
}

/* Make the kernel's slot what s says; size 0 deletes it. */
static int slot_update(const KvmSlot *s, uint64_t size)
{
    struct kvm_userspace_memory_region r = {
        .slot = s - slots,
        .guest_phys_addr = s->gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)(s->rb->host + s->rb_offset),
    };

    if (size) {
        r.flags = (logging && !s->readonly ? KVM_MEM_LOG_DIRTY_PAGES : 0) |
                  (s->readonly ? KVM_MEM_READONLY : 0);
    }
    trace_kvm_set_slot(r.slot, r.guest_phys_addr, r.memory_size, r.flags);
    return kvm_ioctl(kvm.vm_fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static void slot_alloc_seen(KvmSlot *s)
{
    g_free(s->seen);
    /* The kernel writes whole 64-bit words. */
    s->seen = bitmap_new(ROUND_UP(slot_pages(s), 64));
}

static KvmSlot *slot_free(void)
{
    for (unsigned i = 0; i < n_slots; i++) {
        if (!slots[i].used) {
            return &slots[i];
        }
    }
    if (n_slots == kvm.max_slots) {
        return NULL;
    }
    slots = g_renew(KvmSlot, slots, n_slots + 1);
    memset(&slots[n_slots], 0, sizeof(KvmSlot));
    return &slots[n_slots++];
}

static void region_added(void *opaque, const RamRegion *r)
{
    KvmSlot *s;

    kvm_slots_lock();
    s = slot_free();
    if (!s) {
        error_report("KVM has no memory slot left for RAM at 0x%" PRIx64 " (it has %u)", r->gpa,
                     kvm.max_slots);
        exit(1);
    }
    *s = (KvmSlot){ .used = true, .readonly = r->readonly, .gpa = r->gpa, .size = r->size,
                    .rb = r->rb, .rb_offset = r->rb_offset };
    if (logging && !s->readonly) {
        slot_alloc_seen(s);
    }
    if (slot_update(s, s->size) < 0) {
        error_report("KVM refuses RAM of 0x%" PRIx64 " bytes at 0x%" PRIx64 ": %s", r->size,
                     r->gpa, g_strerror(errno));
        exit(1);
    }
    kvm_slots_unlock();
}

/* OR the bits (one a page of the slot) into RAMBlock.dirty. */
static void slot_publish(KvmSlot *s, const unsigned long *bits)
{
    uint64_t base = s->rb_offset >> TARGET_PAGE_BITS;
    uint64_t words = BITMAP_WORDS(slot_pages(s));
    unsigned long *dirty = s->rb->dirty + BITMAP_WORD(base);
    unsigned shift = base % BITS_PER_LONG;

    for (uint64_t i = 0; i < words; i++) {
        unsigned long w = bits[i];

        if (!w) {
            continue;
        }
        if ((dirty[i] & (w << shift)) != w << shift) {
            __atomic_fetch_or(&dirty[i], w << shift, __ATOMIC_SEQ_CST);
        }
        if (shift && w >> (BITS_PER_LONG - shift)) {
            __atomic_fetch_or(&dirty[i + 1], w >> (BITS_PER_LONG - shift), __ATOMIC_SEQ_CST);
        }
    }
}

/* Read the kernel's log of the slot into s->seen and RAMBlock.dirty. */
static int slot_sync(KvmSlot *s)
{
    struct kvm_dirty_log log = { .slot = s - slots, .dirty_bitmap = s->seen };

    if (kvm_ioctl(kvm.vm_fd, KVM_GET_DIRTY_LOG, &log) < 0) {
        return -errno;
    }
    slot_publish(s, s->seen);
    return 0;
}

static void region_removed(void *opaque, const RamRegion *r)
{
    kvm_slots_lock();
    for (unsigned i = 0; i < n_slots; i++) {
        KvmSlot *s = &slots[i];

        if (!s->used || s->gpa != r->gpa) {
            continue;
        }
        if (s->seen) {
            g_autoptr(Error) err = NULL;
            bool ok = kvm.ring_entries ? kvm_ring_reap_locked(NULL, &err) : slot_sync(s) == 0;

            if (!ok) {
                /* Lost knowledge: all of it counts as written. */
                bitmap_set_atomic(s->rb->dirty, s->rb_offset >> TARGET_PAGE_BITS, slot_pages(s));
            }
        }
        if (slot_update(s, 0) < 0) {
            error_report("KVM refuses to take RAM at 0x%" PRIx64 " away: %s", s->gpa,
                         g_strerror(errno));
        }
        g_free(s->seen);
        memset(s, 0, sizeof(*s));
        break;
    }
    kvm_slots_unlock();
}

bool kvm_memory_init(Error **errp)
{
    static const MemoryListener listener = { .added = region_added, .removed = region_removed };

    memory_set_listener(&listener);
    return true;
}

/* Slot lock held: tell the kernel about the new value of `logging`. */
static bool slots_set_logging(bool on, Error **errp)
{
    logging = on;
    for (unsigned i = 0; i < n_slots; i++) {
        KvmSlot *s = &slots[i];

        if (!s->used || s->readonly) {
            continue;
        }
        if (on) {
            slot_alloc_seen(s);
        }
        if (slot_update(s, s->size) < 0) {
            error_setg_errno(errp, errno, "KVM cannot switch the dirty log of RAM at 0x%" PRIx64
                             " %s", s->gpa, on ? "on" : "off");
            return false;
        }
        if (!on) {
            g_clear_pointer(&s->seen, g_free);
        }
    }
    return true;
}

bool kvm_dirty_start(Error **errp)
{
    bool ok;

    kvm_slots_lock();
    ok = slots_set_logging(true, errp);
    if (!ok) {
        slots_set_logging(false, NULL);
    }
    kvm_slots_unlock();
    return ok;
}

void kvm_dirty_stop(void)
{
    g_autoptr(Error) err = NULL;

    kvm_slots_lock();
    if (!slots_set_logging(false, &err)) {
        warn_report("%s", error_get_pretty(err));
    }
    kvm_slots_unlock();
}

bool kvm_dirty_sync(Error **errp)
{
    bool ok = true;

    if (kvm.ring_entries) {
        return kvm_ring_reap(NULL, errp);
    }
    kvm_slots_lock();
    for (unsigned i = 0; i < n_slots && ok; i++) {
        int ret = slots[i].seen ? slot_sync(&slots[i]) : 0;

        if (ret < 0) {
            error_setg_errno(errp, -ret, "KVM cannot read the dirty log of RAM at 0x%" PRIx64,
                             slots[i].gpa);
            ok = false;
        }
    }
    kvm_slots_unlock();
    return ok;
}

/* Re-protect the pages of `seen` in [first, end), rounded out to what the kernel takes. */
static void slot_clear(KvmSlot *s, uint64_t first, uint64_t end)
{
    uint64_t pages = slot_pages(s);
    struct kvm_clear_dirty_log c = { .slot = s - slots };

    first = ROUND_DOWN(first, 64);
    end = MIN(ROUND_UP(end, 64), pages);
    c.first_page = first;
    c.num_pages = end - first;
    c.dirty_bitmap = &s->seen[BITMAP_WORD(first)];
    if (bitmap_find_next(s->seen, end, first) >= end) {
        return;
    }
    trace_kvm_clear_dirty_log(c.slot, first, c.num_pages);
    if (kvm_ioctl(kvm.vm_fd, KVM_CLEAR_DIRTY_LOG, &c) < 0) {
        /* The pages stay logged as written: they are sent again, nothing is lost. */
        if (!clear_warned) {
            clear_warned = true;
            warn_report("KVM cannot protect written pages again: %s", g_strerror(errno));
        }
        return;
    }
    memset(c.dirty_bitmap, 0, BITMAP_BYTES(c.num_pages));
}

void kvm_dirty_clear(RAMBlock *rb, uint64_t offset, uint64_t len)
{
    if (!kvm.manual_protect) {
        return;
    }
    kvm_slots_lock();
    for (unsigned i = 0; i < n_slots; i++) {
        KvmSlot *s = &slots[i];
        uint64_t start = MAX(offset, s->rb_offset);
        uint64_t end = MIN(offset + len, s->rb_offset + s->size);

        if (s->seen && s->rb == rb && start < end) {
            slot_clear(s, (start - s->rb_offset) >> TARGET_PAGE_BITS,
                       ROUND_UP(end - s->rb_offset, TARGET_PAGE_SIZE) >> TARGET_PAGE_BITS);
        }
    }
    kvm_slots_unlock();
}

void kvm_slot_mark_page(uint32_t slot, uint64_t page)
{
    slot &= 0xffff; /* the upper half is the address space, always 0 */
    if (slot < n_slots && slots[slot].seen && page < slot_pages(&slots[slot])) {
        bitmap_set_bit(slots[slot].seen, page);
    }
}

void kvm_slots_publish(void)
{
    for (unsigned i = 0; i < n_slots; i++) {
        KvmSlot *s = &slots[i];

        if (s->seen) {
            slot_publish(s, s->seen);
            memset(s->seen, 0, BITMAP_BYTES(slot_pages(s)));
        }
    }
}
