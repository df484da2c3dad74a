/*
 * String instructions of the software CPU, and port input and output.
 *
 * A repeated instruction keeps its registers up to date after every element, so a
 * fault or an interrupt leaves it in a state from which it goes on.  After
 * REP_CHUNK elements it returns with RIP still on itself.
 *
 * Thread: the vCPU's own; the machine lock is taken inside of ioport_*().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "ops.h"
#include "system/address-space.h"

#define REP_CHUNK 4096

INLINE int64_t string_step(const InterpCPU *c, unsigned size)
{
    return c->env->eflags & FL_DF ? -(int64_t)size : (int64_t)size;
}
INLINE uint64_t string_addr(const InterpCPU *c, const Insn *i, int reg)
{
    return addr_mask(c->env->regs[reg], i->asize);
}
INLINE void string_advance(InterpCPU *c, const Insn *i, int reg, int64_t by)
{
    reg_set(c, reg, c->env->regs[reg] + (uint64_t)by, i->asize);
}
INLINE uint64_t rep_count(const InterpCPU *c, const Insn *i)
{
    return addr_mask(c->env->regs[R_ECX], i->asize);
}

/* One element; true when a repeated comparison has found what it looked for. */
typedef bool StringFn(InterpCPU *c, const Insn *i, unsigned size);
/* Several elements at once, at most n: how many were done, 0 when not possible. */
typedef uint64_t BulkFn(InterpCPU *c, const Insn *i, unsigned size, uint64_t n);

INLINE void repeat(InterpCPU *c, const Insn *i, unsigned size, StringFn *one, BulkFn *bulk)
{
    if (!i->rep) {
        one(c, i, size);
        return;
    }
    for (unsigned done = 0; done < REP_CHUNK; done++) {
        uint64_t n = rep_count(c, i);
        if (!n) {
            return;
        }
        uint64_t got = bulk && n > 1 ? bulk(c, i, size, n) : 0;
        if (got) {
            string_advance(c, i, R_ECX, -(int64_t)got);
            done += got / 64;
            continue;
        }
        bool found = one(c, i, size);
        string_advance(c, i, R_ECX, -1);
        if (found) {
            return;
        }
    }
    if (rep_count(c, i)) {
        c->next_ip = c->env->eip;
    }
}

#define STRING(name, bulk)                                            \
    INLINE void name(InterpCPU *c, const Insn *i, unsigned size)      \
    {                                                                 \
        repeat(c, i, size, name##_one, bulk);                         \
    }                                                                 \
    SIZED(name)

/* Elements left in the page and in the segment, moving up; 0 when moving down. */
INLINE uint64_t bulk_room(InterpCPU *c, const Insn *i, uint64_t ea, uint64_t lin, unsigned size)
{
    uint64_t room = 4096 - (lin & 0xfff);
    uint64_t wrap = i->asize == 2 ? 0x10000 - ea : i->asize == 4 ? 0x100000000ULL - ea : room;
    return c->env->eflags & FL_DF ? 0 : MIN(room, wrap) / size;
}
INLINE bool seg_has(const InterpCPU *c, int seg, uint64_t ea, uint64_t len, bool write)
{
    const SegCheck *s = &c->seg[seg];
    uint64_t lo = write ? s->wlo : s->rlo, hi = write ? s->whi : s->rhi;
    return ea >= lo && ea <= hi && len - 1 <= hi - ea;
}

INLINE bool movs_one(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t v = mem_load(c, i->seg, string_addr(c, i, R_ESI), size);
    mem_store(c, R_ES, string_addr(c, i, R_EDI), v, size);
    string_advance(c, i, R_ESI, string_step(c, size));
    string_advance(c, i, R_EDI, string_step(c, size));
    return false;
}
static uint64_t movs_bulk(InterpCPU *c, const Insn *i, unsigned size, uint64_t n)
{
    uint64_t src = string_addr(c, i, R_ESI), dst = string_addr(c, i, R_EDI);
    uint64_t lin_s = (c->seg[i->seg].base + src) & c->lin_mask;
    uint64_t lin_d = (c->seg[R_ES].base + dst) & c->lin_mask;
    n = MIN(n, MIN(bulk_room(c, i, src, lin_s, size), bulk_room(c, i, dst, lin_d, size)));
    uint64_t len = n * size;
    TlbEntry *s = tlb_slot(c->tlb, lin_s), *d = tlb_slot(c->tlb, lin_d);
    if (!n || s->r != (lin_s & ~0xfffULL) || d->w != (lin_d & ~0xfffULL) ||
        !seg_has(c, i->seg, src, len, false) || !seg_has(c, R_ES, dst, len, true)) {
        return 0;
    }
    uint8_t *from = s->host + (lin_s & 0xfff), *to = d->host + (lin_d & 0xfff);
    if (from < to + len && to < from + len) {
        return 0; /* overlapping: the order of the elements is visible */
    }
    memcpy(to, from, len);
    ram_mark_dirty(d->rb, d->offset + (lin_d & 0xfff), len);
    string_advance(c, i, R_ESI, (int64_t)len);
    string_advance(c, i, R_EDI, (int64_t)len);
    return n;
}
STRING(movs, movs_bulk)

INLINE bool stos_one(InterpCPU *c, const Insn *i, unsigned size)
{
    mem_store(c, R_ES, string_addr(c, i, R_EDI), reg_get(c, R_EAX, size), size);
    string_advance(c, i, R_EDI, string_step(c, size));
    return false;
}
static uint64_t stos_bulk(InterpCPU *c, const Insn *i, unsigned size, uint64_t n)
{
    uint64_t dst = string_addr(c, i, R_EDI);
    uint64_t lin = (c->seg[R_ES].base + dst) & c->lin_mask;
    n = MIN(n, bulk_room(c, i, dst, lin, size));
    uint64_t len = n * size, v = reg_get(c, R_EAX, size);
    TlbEntry *d = tlb_slot(c->tlb, lin);
    if (!n || d->w != (lin & ~0xfffULL) || !seg_has(c, R_ES, dst, len, true)) {
        return 0;
    }
    uint8_t *to = d->host + (lin & 0xfff);
    for (uint64_t k = 0; k < len; k += size) {
        host_store(to + k, v, size);
    }
    ram_mark_dirty(d->rb, d->offset + (lin & 0xfff), len);
    string_advance(c, i, R_EDI, (int64_t)len);
    return n;
}
STRING(stos, stos_bulk)

INLINE bool lods_one(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, R_EAX, mem_load(c, i->seg, string_addr(c, i, R_ESI), size), size);
    string_advance(c, i, R_ESI, string_step(c, size));
    return false;
}
STRING(lods, NULL)

/* f3 goes on while equal, f2 while not */
INLINE bool compare(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    flags_sub(&c->fl, x, y, x - y, size);
    return flag_zf(&c->fl) != (i->rep == 0xf3);
}
INLINE bool cmps_one(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t x = mem_load(c, i->seg, string_addr(c, i, R_ESI), size);
    uint64_t y = mem_load(c, R_ES, string_addr(c, i, R_EDI), size);
    string_advance(c, i, R_ESI, string_step(c, size));
    string_advance(c, i, R_EDI, string_step(c, size));
    return compare(c, i, x, y, size);
}
STRING(cmps, NULL)
INLINE bool scas_one(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t y = mem_load(c, R_ES, string_addr(c, i, R_EDI), size);
    string_advance(c, i, R_EDI, string_step(c, size));
    return compare(c, i, reg_get(c, R_EAX, size), y, size);
}
STRING(scas, NULL)

/* ---- ports ---- */

/* May the current code touch these ports?  IOPL, else the bitmap in the TSS. */
static void check_io(InterpCPU *c, uint16_t port, unsigned size)
{
    CPUX86State *env = c->env;
    unsigned iopl = (env->eflags & FL_IOPL) >> 12;
    if (!c->pe || (c->cpl <= iopl && !(env->eflags & FL_VM))) {
        return;
    }
    unsigned type = (env->tr.flags >> DESC_TYPE_SHIFT) & 15;
    if ((env->tr.flags & DESC_P) && (type == 9 || type == 11) && env->tr.limit >= 103) {
        uint64_t map = lin_load_as(c, env->tr.base + 102, 2, TLB_KERNEL);
        uint64_t at = map + port / 8;
        if (at + 1 <= env->tr.limit) {
            uint64_t bits = lin_load_as(c, env->tr.base + at, 2, TLB_KERNEL);
            if (!((bits >> (port & 7)) & ((1u << size) - 1))) {
                return;
            }
        }
    }
    raise_exception_err(c, EXC_GP, 0);
}

static uint32_t port_in(InterpCPU *c, uint16_t port, unsigned size)
{
    uint32_t v = ioport_read(port, size);
    c->budget = 0; /* the device may have asked for something */
    return v;
}
static void port_out(InterpCPU *c, uint16_t port, uint32_t v, unsigned size)
{
    ioport_write(port, v, size);
    c->budget = 0;
}
INLINE unsigned port_size(const Insn *i)
{
    return i->size == 8 ? 4 : i->size;
}
INLINE uint16_t port_number(InterpCPU *c, const Insn *i)
{
    return i->op & 8 ? (uint16_t)c->env->regs[R_EDX] : (uint8_t)i->imm;
}

void op_in(InterpCPU *c, const Insn *i)
{
    unsigned size = port_size(i);
    uint16_t port = port_number(c, i);
    check_io(c, port, size);
    reg_set(c, R_EAX, port_in(c, port, size), size);
}
void op_out(InterpCPU *c, const Insn *i)
{
    unsigned size = port_size(i);
    uint16_t port = port_number(c, i);
    check_io(c, port, size);
    port_out(c, port, (uint32_t)reg_get(c, R_EAX, size), size);
}

static bool ins_one(InterpCPU *c, const Insn *i, unsigned size)
{
    uint16_t port = (uint16_t)c->env->regs[R_EDX];
    uint64_t lin = lin_write(c, R_ES, string_addr(c, i, R_EDI), size);
    mmu_probe_write(c, lin, size, tlb_which(c)); /* reading a port cannot be undone */
    lin_store(c, lin, port_in(c, port, size), size);
    string_advance(c, i, R_EDI, string_step(c, size));
    return false;
}
static bool outs_one(InterpCPU *c, const Insn *i, unsigned size)
{
    uint16_t port = (uint16_t)c->env->regs[R_EDX];
    port_out(c, port, (uint32_t)mem_load(c, i->seg, string_addr(c, i, R_ESI), size), size);
    string_advance(c, i, R_ESI, string_step(c, size));
    return false;
}
void op_ins(InterpCPU *c, const Insn *i)
{
    check_io(c, (uint16_t)c->env->regs[R_EDX], port_size(i));
    repeat(c, i, port_size(i), ins_one, NULL);
}
void op_outs(InterpCPU *c, const Insn *i)
{
    check_io(c, (uint16_t)c->env->regs[R_EDX], port_size(i));
    repeat(c, i, port_size(i), outs_one, NULL);
}
