/*
 * Paging and the software TLB of the software CPU, and the slow paths of memory
 * access: TLB misses, page crossings, MMIO, locked operations.
 *
 * Thread: the vCPU's own.  No lock is held while guest RAM is touched (a thread
 * may block there on userfaultfd); MMIO takes the machine lock inside of
 * memory_load() and memory_store().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "system/address-space.h"

#define PTE_P (1ULL << 0)
#define PTE_W (1ULL << 1)
#define PTE_U (1ULL << 2)
#define PTE_A (1ULL << 5)
#define PTE_D (1ULL << 6)
#define PTE_PS (1ULL << 7)
#define PTE_NX (1ULL << 63)
#define PTE_ADDR 0x000ffffffffff000ULL

#define PF_P 1
#define PF_W 2
#define PF_U 4
#define PF_RSVD 8
#define PF_I 16

/* One kind of page table. */
typedef struct PagingMode {
    int levels;
    int entry_bits; /* index bits of one level */
    int entry_size;
} PagingMode;

typedef struct Walk {
    uint64_t gpa;   /* of the byte */
    uint64_t entry; /* leaf */
    bool write, user, nx;
    bool large;
    bool unpaged;
} Walk;

void mmu_flush(InterpCPU *c)
{
    memset(c->tlbs, 0xff, sizeof(c->tlbs));
    c->code_page = ~0ULL;
    c->tlb_large = false;
}

void mmu_flush_page(InterpCPU *c, uint64_t lin)
{
    if (c->tlb_large) {
        mmu_flush(c);
        return;
    }
    for (int which = TLB_KERNEL; which <= TLB_USER; which++) {
        memset(tlb_slot(c->tlbs[which], lin), 0xff, sizeof(TlbEntry));
    }
    c->code_page = ~0ULL;
}

void mmu_check_map(InterpCPU *c)
{
    unsigned generation = memory_map_generation();
    bool a20 = memory_get_a20();
    if (generation != c->map_generation || a20 != c->a20) {
        c->map_generation = generation;
        c->a20 = a20;
        mmu_flush(c);
    }
}

static uint64_t a20_mask(const InterpCPU *c, uint64_t gpa)
{
    return c->a20 ? gpa : gpa & ~(1ULL << 20);
}

/* Host address of len bytes of RAM at gpa, or NULL. */
static uint8_t *ram_at(uint64_t gpa, uint64_t len, RAMBlock **ret_rb, uint64_t *ret_offset,
                       bool *ret_readonly)
{
    const RamRegion *r = memory_find_ram(gpa);
    if (!r || gpa < r->gpa || len > r->size || gpa - r->gpa > r->size - len) {
        return NULL;
    }
    *ret_rb = r->rb;
    *ret_offset = r->rb_offset + (gpa - r->gpa);
    *ret_readonly = r->readonly || r->rb->readonly;
    return r->rb->host + *ret_offset;
}

void mmu_seg_fault(InterpCPU *c, int seg)
{
    raise_exception_err(c, seg == R_SS ? EXC_SS : EXC_GP, 0);
}

/* ---- the page walk ---- */

static uint64_t entry_read(InterpCPU *c, uint64_t gpa, int size)
{
    RAMBlock *rb;
    uint64_t offset;
    bool readonly;
    uint8_t *p = ram_at(gpa, size, &rb, &offset, &readonly);
    return p ? host_load(p, size) : memory_load(gpa, size);
}

/* Set bits in a page table entry that still reads `old`; false when it changed. */
static bool entry_set_bits(uint64_t gpa, uint64_t old, uint64_t bits, int size)
{
    RAMBlock *rb;
    uint64_t offset;
    bool readonly, ok;
    uint8_t *p = ram_at(gpa, size, &rb, &offset, &readonly);
    if (!p || readonly) {
        return true; /* tables in ROM keep what they have */
    }
    if (size == 4) {
        uint32_t want = GUINT32_TO_LE((uint32_t)old);
        ok = __atomic_compare_exchange_n((uint32_t *)p, &want, GUINT32_TO_LE((uint32_t)(old | bits)),
                                         false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        uint64_t want = GUINT64_TO_LE(old);
        ok = __atomic_compare_exchange_n((uint64_t *)p, &want, GUINT64_TO_LE(old | bits), false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    if (ok) {
        ram_mark_dirty(rb, offset, size);
    }
    return ok;
}

static PagingMode paging_mode(const InterpCPU *c)
{
    if (c->lma) {
        return (PagingMode){4, 9, 8};
    }
    if (c->env->cr[4] & CR4_PAE) {
        return (PagingMode){3, 9, 8};
    }
    return (PagingMode){2, 10, 4};
}

/* Bits of an entry that must be zero. */
static uint64_t reserved_bits(const InterpCPU *c, const PagingMode *m, int level, bool large)
{
    if (m->entry_size == 4) {
        return large ? 1ULL << 21 : 0;
    }
    uint64_t bits = c->phys_reserved;
    if (m->levels == 3 && level == 3) {
        return bits | PTE_NX | 0x1e6; /* a PAE page directory pointer */
    }
    if (!(c->env->efer & EFER_NXE)) {
        bits |= PTE_NX;
    }
    if (level == 4) {
        bits |= PTE_PS;
    } else if (large) {
        bits |= level == 2 ? 0x1fe000 : 0x3fffe000;
    }
    return bits;
}

static bool is_large(const InterpCPU *c, const PagingMode *m, int level, uint64_t entry)
{
    if (!(entry & PTE_PS) || level == 1 || level == 4) {
        return false;
    }
    if (m->levels == 2) {
        return c->env->cr[4] & CR4_PSE;
    }
    return level == 2 || m->levels == 4;
}

static uint64_t leaf_address(const PagingMode *m, int level, uint64_t entry, uint64_t lin)
{
    if (level == 1) {
        return (entry & PTE_ADDR & (m->entry_size == 4 ? 0xfffff000ULL : ~0ULL)) | (lin & 0xfff);
    }
    if (m->levels == 2) { /* 4 MiB, address bits 32..39 in entry bits 13..20 */
        return (entry & 0xffc00000) | ((entry & 0x1fe000) << 19) | (lin & 0x3fffff);
    }
    uint64_t low = level == 2 ? 0x1fffff : 0x3fffffff;
    return (entry & PTE_ADDR & ~low) | (lin & low);
}

/* Error code bits of a translation that is mapped but not allowed; -1 when allowed. */
static int permission_fault(const InterpCPU *c, const Walk *w, int acc, int which)
{
    bool user = which == TLB_USER;
    if (user && !w->user) {
        return PF_P;
    }
    if (acc == ACC_WRITE && !w->write && (user || (c->env->cr[0] & CR0_WP))) {
        return PF_P;
    }
    if (acc == ACC_EXEC && (w->nx || (!user && w->user && (c->env->cr[4] & CR4_SMEP)))) {
        return PF_P;
    }
    if (acc != ACC_EXEC && !user && w->user && (c->env->cr[4] & CR4_SMAP) &&
        !(c->env->eflags & FL_AC)) {
        return PF_P;
    }
    return -1;
}

enum { WALK_OK, WALK_FAULT, WALK_RETRY };

/* Walk once; *ret_err has the P and RSVD bits of the error code on WALK_FAULT. */
static int walk_once(InterpCPU *c, uint64_t lin, int acc, int which, Walk *w, uint32_t *ret_err)
{
    PagingMode m = paging_mode(c);
    uint64_t gpa[5], entry[5];
    uint64_t table = c->env->cr[3] & (m.levels == 3 ? 0xffffffe0 : m.levels == 2 ? 0xfffff000
                                                                                  : PTE_ADDR);
    *w = (Walk){.write = true, .user = true};
    int level = m.levels;
    for (;; level--) {
        unsigned shift = 12 + (level - 1) * m.entry_bits;
        uint64_t index = (lin >> shift) & ((1u << m.entry_bits) - 1);
        gpa[level] = a20_mask(c, table + index * m.entry_size);
        uint64_t e = entry[level] = entry_read(c, gpa[level], m.entry_size);
        if (!(e & PTE_P)) {
            *ret_err = 0;
            return WALK_FAULT;
        }
        w->large = is_large(c, &m, level, e);
        if (e & reserved_bits(c, &m, level, w->large)) {
            *ret_err = PF_P | PF_RSVD;
            return WALK_FAULT;
        }
        if (!(m.levels == 3 && level == 3)) {
            w->write &= !!(e & PTE_W);
            w->user &= !!(e & PTE_U);
            w->nx |= m.entry_size == 8 && (e & PTE_NX);
        }
        if (level == 1 || w->large) {
            break;
        }
        table = e & PTE_ADDR & (m.entry_size == 4 ? 0xfffff000ULL : ~0ULL);
    }
    int bad = permission_fault(c, w, acc, which);
    if (bad >= 0) {
        *ret_err = bad;
        return WALK_FAULT;
    }
    for (int l = m.levels; l >= level; l--) {
        uint64_t bits = PTE_A | (l == level && acc == ACC_WRITE ? PTE_D : 0);
        bool pdpte = m.levels == 3 && l == 3;
        if (!pdpte && (entry[l] & bits) != bits &&
            !entry_set_bits(gpa[l], entry[l], bits, m.entry_size)) {
            return WALK_RETRY;
        }
    }
    w->entry = entry[level] | (acc == ACC_WRITE ? PTE_D : 0);
    w->gpa = leaf_address(&m, level, entry[level], lin);
    return WALK_OK;
}

static void G_GNUC_NORETURN page_fault(InterpCPU *c, uint64_t lin, int acc, int which, uint32_t err)
{
    bool nx_known = (c->env->efer & EFER_NXE) || (c->env->cr[4] & CR4_SMEP);
    if (acc == ACC_WRITE) {
        err |= PF_W;
    } else if (acc == ACC_EXEC && nx_known && (c->env->cr[4] & CR4_PAE)) {
        err |= PF_I;
    }
    if (which == TLB_USER) {
        err |= PF_U;
    }
    c->env->cr[2] = lin;
    raise_exception_err(c, EXC_PF, err);
}

static void walk(InterpCPU *c, uint64_t lin, int acc, int which, Walk *w)
{
    uint32_t err = 0;
    int r;
    if (!(c->env->cr[0] & CR0_PG)) {
        *w = (Walk){.gpa = (uint32_t)lin, .entry = PTE_D, .write = true, .unpaged = true};
        return;
    }
    if (c->lma && (uint64_t)((int64_t)(lin << 16) >> 16) != lin) {
        raise_exception_err(c, EXC_GP, 0);
    }
    do {
        r = walk_once(c, lin, acc, which, w, &err);
    } while (r == WALK_RETRY);
    if (r == WALK_FAULT) {
        page_fault(c, lin, acc, which, err);
    }
}

TlbEntry *mmu_translate(InterpCPU *c, uint64_t lin, int acc, int which, uint64_t *ret_gpa)
{
    Walk w;
    bool readonly;
    walk(c, lin, acc, which, &w);
    uint64_t gpa = a20_mask(c, w.gpa);
    uint64_t page = lin & ~0xfffULL;
    TlbEntry n = {.r = page, .w = ~0ULL, .x = ~0ULL};
    n.host = ram_at(gpa & ~0xfffULL, 4096, &n.rb, &n.offset, &readonly);
    *ret_gpa = gpa;
    if (!n.host || (acc == ACC_WRITE && readonly)) {
        return NULL;
    }
    bool may_write = w.write || (which == TLB_KERNEL && !(c->env->cr[0] & CR0_WP));
    if (may_write && (w.entry & PTE_D) && !readonly) {
        n.w = page;
    }
    if (permission_fault(c, &w, ACC_EXEC, which) < 0) {
        n.x = page;
    }
    if (acc == ACC_EXEC && permission_fault(c, &w, ACC_READ, which) >= 0) {
        n.r = n.w = ~0ULL; /* may be run but not read (SMAP) */
    }
    c->tlb_large |= w.large;
    TlbEntry *e = tlb_slot(c->tlbs[which], lin);
    *e = n;
    return e;
}

/* ---- slow paths ---- */

/* Something other than RAM was touched: the map or an interrupt may have changed. */
static void after_io(InterpCPU *c)
{
    c->budget = 0;
}

uint64_t mmu_load_slow(InterpCPU *c, uint64_t lin, unsigned size, int which)
{
    uint64_t gpa;
    if (!page_holds(lin, size)) {
        unsigned first = 4096 - (lin & 0xfff);
        uint64_t v = 0;
        uint64_t next = (lin + first) & c->lin_mask;
        mmu_translate(c, lin, ACC_READ, which, &gpa);
        mmu_translate(c, next, ACC_READ, which, &gpa);
        for (unsigned k = 0; k < size; k++) {
            v |= lin_load_as(c, k < first ? lin + k : next + (k - first), 1, which) << (8 * k);
        }
        return v;
    }
    TlbEntry *e = mmu_translate(c, lin, ACC_READ, which, &gpa);
    if (e) {
        return host_load(e->host + (lin & 0xfff), size);
    }
    interp_flags_to_env(c);
    after_io(c);
    return memory_load(gpa, size);
}

void mmu_probe_write(InterpCPU *c, uint64_t lin, unsigned size, int which)
{
    uint64_t gpa, last = (lin + size - 1) & c->lin_mask;
    mmu_translate(c, lin, ACC_WRITE, which, &gpa);
    if ((last ^ lin) & ~0xfffULL) {
        mmu_translate(c, last & ~0xfffULL, ACC_WRITE, which, &gpa);
    }
}

void mmu_store_slow(InterpCPU *c, uint64_t lin, uint64_t val, unsigned size, int which)
{
    uint64_t gpa;
    if (!page_holds(lin, size)) {
        unsigned first = 4096 - (lin & 0xfff);
        uint64_t next = (lin + first) & c->lin_mask;
        mmu_probe_write(c, lin, size, which);
        for (unsigned k = 0; k < size; k++) {
            lin_store_as(c, k < first ? lin + k : next + (k - first), (val >> (8 * k)) & 0xff, 1,
                         which);
        }
        return;
    }
    TlbEntry *e = mmu_translate(c, lin, ACC_WRITE, which, &gpa);
    if (e) {
        host_store(e->host + (lin & 0xfff), val, size);
        ram_mark_dirty(e->rb, e->offset + (lin & 0xfff), size);
        return;
    }
    interp_flags_to_env(c);
    memory_store(gpa, val & size_mask(size), size);
    after_io(c);
}

/* *p = new if it is still old.  x86 hosts do this at any address, like the guest. */
__attribute__((no_sanitize("alignment"))) static bool host_cas(uint8_t *p, uint64_t old,
                                                               uint64_t new, unsigned size)
{
#define CAS(type, conv)                                                                          \
    do {                                                                                         \
        type want = conv((type)old);                                                             \
        return __atomic_compare_exchange_n((type *)(void *)p, &want, conv((type)new), false,     \
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                  \
    } while (0)
    switch (size) {
    case 1:
        CAS(uint8_t, );
    case 2:
        CAS(uint16_t, GUINT16_TO_LE);
    case 4:
        CAS(uint32_t, GUINT32_TO_LE);
    default:
        CAS(uint64_t, GUINT64_TO_LE);
    }
#undef CAS
}

static void modify_locked(InterpCPU *c, const Insn *i, uint8_t *p, uint64_t arg, unsigned size,
                          RmwFn *fn)
{
    LazyFlags before = c->fl;
    for (;;) {
        uint64_t old = host_load(p, size);
        c->fl = before;
        if (host_cas(p, old, fn(c, i, old, arg, size), size)) {
            return;
        }
    }
}

/* A locked operation on two pages: serialised with others of its kind. */
static void modify_split(InterpCPU *c, const Insn *i, TlbEntry *e[2], uint64_t lin, uint64_t arg,
                         unsigned size, RmwFn *fn)
{
    static GMutex split_lock;
    unsigned first = 4096 - (lin & 0xfff);
    uint64_t old = 0;
    uint8_t *p0 = e[0]->host + (lin & 0xfff);
    /* Touch both before the lock: an access may wait for userfaultfd. */
    (void)host_load(p0, 1);
    (void)host_load(e[1]->host, 1);
    g_mutex_lock(&split_lock);
    for (unsigned k = 0; k < size; k++) {
        old |= host_load(k < first ? p0 + k : e[1]->host + (k - first), 1) << (8 * k);
    }
    uint64_t new = fn(c, i, old, arg, size);
    for (unsigned k = 0; k < size; k++) {
        host_store(k < first ? p0 + k : e[1]->host + (k - first), (new >> (8 * k)) & 0xff, 1);
    }
    g_mutex_unlock(&split_lock);
    ram_mark_dirty(e[0]->rb, e[0]->offset + (lin & 0xfff), first);
    ram_mark_dirty(e[1]->rb, e[1]->offset, size - first);
}

void mem_modify_slow(InterpCPU *c, const Insn *i, uint64_t lin, uint64_t arg, unsigned size,
                     bool lock, RmwFn *fn)
{
    uint64_t gpa;
    int which = tlb_which(c);
    TlbEntry *e = mmu_translate(c, lin, ACC_WRITE, which, &gpa);
    if (page_holds(lin, size)) {
        if (e) {
            uint8_t *p = e->host + (lin & 0xfff);
            if (lock) {
                modify_locked(c, i, p, arg, size, fn);
            } else {
                host_store(p, fn(c, i, host_load(p, size), arg, size), size);
            }
            ram_mark_dirty(e->rb, e->offset + (lin & 0xfff), size);
            return;
        }
    } else {
        uint64_t next = ((lin | 0xfff) + 1) & c->lin_mask;
        TlbEntry *pair[2] = {e, mmu_translate(c, next, ACC_WRITE, which, &gpa)};
        if (lock && pair[0] && pair[1]) {
            modify_split(c, i, pair, lin, arg, size, fn);
            return;
        }
    }
    uint64_t old = lin_load(c, lin, size);
    lin_store(c, lin, fn(c, i, old, arg, size), size);
}

void mmu_fetch_page(InterpCPU *c, uint64_t lin)
{
    uint64_t gpa, page = lin & ~0xfffULL;
    TlbEntry *e = tlb_slot(c->tlb, lin);
    if (e->x != page) {
        e = mmu_translate(c, lin, ACC_EXEC, tlb_which(c), &gpa);
        if (!e) {
            interp_stop(c, "instruction fetch from 0x%" PRIx64 " (physical 0x%" PRIx64
                        "), which is not RAM or ROM", lin, gpa);
        }
    }
    c->code_page = page;
    c->code_host = e->host;
}

bool mmu_cas16(InterpCPU *c, uint64_t lin, uint64_t old[2], const uint64_t new[2])
{
    static GMutex cas16_lock; /* hosts without such an operation */
    uint64_t gpa;
    TlbEntry *e = mmu_translate(c, lin, ACC_WRITE, tlb_which(c), &gpa);
    if (!e) {
        interp_stop(c, "cmpxchg16b at physical 0x%" PRIx64 ", which is not RAM", gpa);
    }
    uint8_t *p = e->host + (lin & 0xfff);
    uint64_t want[2] = {old[0], old[1]};
    bool equal;
#ifdef __x86_64__
    (void)cas16_lock;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(equal), "+m"(*(uint64_t(*)[2])p), "+a"(old[0]), "+d"(old[1])
                     : "b"(new[0]), "c"(new[1])
                     : "memory");
#else
    (void)host_load(p, 1);
    g_mutex_lock(&cas16_lock);
    old[0] = host_load(p, 8);
    old[1] = host_load(p + 8, 8);
    equal = old[0] == want[0] && old[1] == want[1];
    if (equal) {
        host_store(p, new[0], 8);
        host_store(p + 8, new[1], 8);
    }
    g_mutex_unlock(&cas16_lock);
#endif
    (void)want;
    ram_mark_dirty(e->rb, e->offset + (lin & 0xfff), 16);
    return equal;
}
