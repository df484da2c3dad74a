/*
 * Segments of the software CPU: descriptor tables, loads with their checks, and
 * what follows from CS, SS and the mode.
 *
 * Thread: the vCPU's own, or the holder of the machine lock while it is stopped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"

#define DESC_FLAGS 0x00f0ff00u /* of the high half: all but base and limit */

static bool real_or_vm86(const InterpCPU *c)
{
    return !c->pe || (c->env->eflags & FL_VM);
}

/* ---- ready-made checks ---- */

static void update_check(InterpCPU *c, int seg)
{
    const SegmentCache *s = &c->env->segs[seg];
    SegCheck *k = &c->seg[seg];
    *k = (SegCheck){.base = s->base, .rhi = s->limit, .whi = s->limit};
    if (c->mode == CODE_64) {
        k->base = seg >= R_FS ? s->base : 0;
        k->rhi = k->whi = ~0ULL;
        return;
    }
    k->base = (uint32_t)s->base;
    if (real_or_vm86(c)) {
        return;
    }
    bool data = !(s->flags & DESC_CS);
    if (data && (s->flags & DESC_C)) { /* expand down */
        k->rlo = k->wlo = (uint64_t)s->limit + 1;
        k->rhi = k->whi = s->flags & DESC_B ? 0xffffffff : 0xffff;
    }
    bool readable = (s->flags & DESC_P) && (data || (s->flags & DESC_R));
    bool writable = (s->flags & DESC_P) && data && (s->flags & DESC_W);
    if (!readable) {
        k->rlo = 1;
        k->rhi = 0;
    }
    if (!writable) {
        k->wlo = 1;
        k->whi = 0;
    }
}

void segment_set_cpl(InterpCPU *c, int cpl)
{
    c->cpl = (uint8_t)cpl;
    c->tlb = c->tlbs[tlb_which(c)];
    c->code_page = ~0ULL;
}

void segment_mode_changed(InterpCPU *c)
{
    CPUX86State *env = c->env;
    const SegmentCache *cs = &env->segs[R_CS];
    c->pe = env->cr[0] & CR0_PE;
    c->lma = env->efer & EFER_LMA;
    if (c->lma && (cs->flags & DESC_L)) {
        c->mode = CODE_64;
    } else {
        c->mode = cs->flags & DESC_B ? CODE_32 : CODE_16;
    }
    bool wide = c->mode == CODE_64;
    c->ip_mask = c->lin_mask = wide ? ~0ULL : 0xffffffff;
    c->stack_mask = wide ? ~0ULL : env->segs[R_SS].flags & DESC_B ? 0xffffffff : 0xffff;
    c->cs_base = wide ? 0 : (uint32_t)cs->base;
    c->cs_limit = wide ? ~0ULL : cs->limit;
    for (int seg = 0; seg < 6; seg++) {
        update_check(c, seg);
    }
}

void segment_update_all(InterpCPU *c)
{
    segment_mode_changed(c);
    int cpl = (c->env->segs[R_SS].flags >> DESC_DPL_SHIFT) & 3;
    segment_set_cpl(c, !c->pe ? 0 : c->env->eflags & FL_VM ? 3 : cpl);
}

void segment_set(InterpCPU *c, int seg, uint16_t sel, uint64_t base, uint32_t limit, uint32_t flags)
{
    c->env->segs[seg] = (SegmentCache){sel, base, limit, flags};
    if (seg == R_CS || seg == R_SS) {
        segment_mode_changed(c);
    } else {
        update_check(c, seg);
    }
}

void segment_set_real(InterpCPU *c, int seg, uint16_t sel)
{
    SegmentCache *s = &c->env->segs[seg];
    uint32_t flags = s->flags, limit = s->limit;
    if (seg == R_CS) {
        flags = DESC_P | DESC_S | DESC_A | DESC_W | (c->mode == CODE_32 ? DESC_B : 0);
    }
    segment_set(c, seg, sel, (uint64_t)sel << 4, limit, flags);
}

void segment_null(InterpCPU *c, int seg, uint16_t sel)
{
    /* in 64-bit code the privilege level lives on in SS */
    uint32_t flags = seg == R_SS ? (sel & 3u) << DESC_DPL_SHIFT : 0;
    segment_set(c, seg, sel, 0, 0, flags);
}

/* ---- descriptors ---- */

uint32_t segment_desc_base(const uint32_t d[2])
{
    return d[0] >> 16 | (d[1] & 0xff) << 16 | (d[1] & 0xff000000);
}
uint32_t segment_desc_limit(const uint32_t d[2])
{
    uint32_t limit = (d[0] & 0xffff) | (d[1] & 0xf0000);
    return d[1] & DESC_G ? limit << 12 | 0xfff : limit;
}

/* Linear address of a descriptor; false when outside its table. */
static bool desc_address(InterpCPU *c, uint16_t sel, unsigned size, uint64_t *ret_lin)
{
    const SegmentCache *t = sel & 4 ? &c->env->ldt : &c->env->gdt;
    bool usable = !(sel & 4) || (t->flags & DESC_P);
    if (!usable || (sel & ~7u) + size - 1 > t->limit) {
        return false;
    }
    *ret_lin = t->base + (sel & ~7u);
    return true;
}
bool segment_peek_desc(InterpCPU *c, uint16_t sel, uint32_t d[2])
{
    uint64_t lin;
    if (!desc_address(c, sel, 8, &lin)) {
        return false;
    }
    d[0] = (uint32_t)lin_load_as(c, lin, 4, TLB_KERNEL);
    d[1] = (uint32_t)lin_load_as(c, lin + 4, 4, TLB_KERNEL);
    return true;
}
void segment_read_desc(InterpCPU *c, uint16_t sel, uint32_t d[2], int vec)
{
    if (!segment_peek_desc(c, sel, d)) {
        raise_exception_err(c, vec, sel & 0xfffc);
    }
}
/* High 32 bits of the base of a 16-byte system descriptor. */
static uint64_t read_high_base(InterpCPU *c, uint16_t sel)
{
    uint64_t lin;
    if (!desc_address(c, sel, 16, &lin)) {
        raise_exception_err(c, EXC_GP, sel & 0xfffc);
    }
    return lin_load_as(c, lin + 8, 4, TLB_KERNEL) << 32;
}

void segment_mark_accessed(InterpCPU *c, uint16_t sel, uint32_t d[2])
{
    uint64_t lin;
    if (!(d[1] & DESC_A) && desc_address(c, sel, 8, &lin)) {
        d[1] |= DESC_A;
        uint8_t type = (uint8_t)lin_load_as(c, lin + 5, 1, TLB_KERNEL);
        lin_store_as(c, lin + 5, type | 1, 1, TLB_KERNEL);
    }
}
void segment_set_from_desc(InterpCPU *c, int seg, uint16_t sel, const uint32_t d[2])
{
    segment_set(c, seg, sel, segment_desc_base(d), segment_desc_limit(d), d[1] & DESC_FLAGS);
}

/* ---- loads ---- */

/* A stack segment for privilege cpl; raises vec(sel). */
void segment_check_stack(InterpCPU *c, uint16_t sel, int cpl, uint32_t d[2], int vec)
{
    uint32_t err = sel & 0xfffc;
    if (!err) {
        raise_exception_err(c, vec, 0);
    }
    segment_read_desc(c, sel, d, vec);
    int dpl = (d[1] >> DESC_DPL_SHIFT) & 3;
    if ((sel & 3) != cpl || dpl != cpl || !(d[1] & DESC_S) || (d[1] & DESC_CS) ||
        !(d[1] & DESC_W)) {
        raise_exception_err(c, vec, err);
    }
    if (!(d[1] & DESC_P)) {
        raise_exception_err(c, EXC_SS, err);
    }
}

static void check_data(InterpCPU *c, uint16_t sel, uint32_t d[2])
{
    uint32_t err = sel & 0xfffc;
    segment_read_desc(c, sel, d, EXC_GP);
    int dpl = (d[1] >> DESC_DPL_SHIFT) & 3;
    bool code = d[1] & DESC_CS;
    if (!(d[1] & DESC_S) || (code && !(d[1] & DESC_R))) {
        raise_exception_err(c, EXC_GP, err);
    }
    if (!(code && (d[1] & DESC_C)) && (dpl < c->cpl || dpl < (sel & 3))) {
        raise_exception_err(c, EXC_GP, err);
    }
    if (!(d[1] & DESC_P)) {
        raise_exception_err(c, EXC_NP, err);
    }
}

void segment_load(InterpCPU *c, int seg, uint16_t sel)
{
    uint32_t d[2];
    if (real_or_vm86(c)) {
        segment_set_real(c, seg, sel);
        return;
    }
    if (!(sel & 0xfffc)) {
        if (seg == R_SS && !(c->mode == CODE_64 && c->cpl < 3 && (sel & 3) == c->cpl)) {
            raise_exception_err(c, EXC_GP, 0);
        }
        segment_null(c, seg, sel);
        return;
    }
    if (seg == R_SS) {
        segment_check_stack(c, sel, c->cpl, d, EXC_GP);
    } else {
        check_data(c, sel, d);
    }
    segment_mark_accessed(c, sel, d);
    segment_set_from_desc(c, seg, sel, d);
}

void segment_drop_privileged(InterpCPU *c, int cpl)
{
    static const uint8_t segs[] = {R_ES, R_DS, R_FS, R_GS};
    for (unsigned k = 0; k < G_N_ELEMENTS(segs); k++) {
        const SegmentCache *s = &c->env->segs[segs[k]];
        int dpl = (s->flags >> DESC_DPL_SHIFT) & 3;
        bool conforming = (s->flags & DESC_CS) && (s->flags & DESC_C);
        if ((s->selector & 0xfffc) && dpl < cpl && !conforming) {
            segment_null(c, segs[k], 0);
        }
    }
}

void segment_load_ldt(InterpCPU *c, uint16_t sel)
{
    uint32_t d[2];
    if (!(sel & 0xfffc)) {
        c->env->ldt = (SegmentCache){.selector = sel};
        return;
    }
    uint32_t err = sel & 0xfffc;
    if (sel & 4) {
        raise_exception_err(c, EXC_GP, err);
    }
    segment_read_desc(c, sel, d, EXC_GP);
    if ((d[1] & DESC_S) || ((d[1] >> DESC_TYPE_SHIFT) & 15) != 2) {
        raise_exception_err(c, EXC_GP, err);
    }
    if (!(d[1] & DESC_P)) {
        raise_exception_err(c, EXC_NP, err);
    }
    uint64_t base = segment_desc_base(d) | (c->lma ? read_high_base(c, sel) : 0);
    c->env->ldt = (SegmentCache){sel, base, segment_desc_limit(d), d[1] & DESC_FLAGS};
}

void segment_load_tr(InterpCPU *c, uint16_t sel)
{
    uint32_t d[2], err = sel & 0xfffc;
    if (!err || (sel & 4)) {
        raise_exception_err(c, EXC_GP, err);
    }
    segment_read_desc(c, sel, d, EXC_GP);
    unsigned type = (d[1] >> DESC_TYPE_SHIFT) & 15;
    if ((d[1] & DESC_S) || !(type == 9 || (type == 1 && !c->lma))) {
        raise_exception_err(c, EXC_GP, err);
    }
    if (!(d[1] & DESC_P)) {
        raise_exception_err(c, EXC_NP, err);
    }
    uint64_t base = segment_desc_base(d) | (c->lma ? read_high_base(c, sel) : 0), lin;
    d[1] |= 2u << DESC_TYPE_SHIFT; /* busy */
    if (desc_address(c, sel, 8, &lin)) {
        lin_store_as(c, lin + 4, d[1], 4, TLB_KERNEL);
    }
    c->env->tr = (SegmentCache){sel, base, segment_desc_limit(d), d[1] & DESC_FLAGS};
}

/* Stack of an inner ring from the TSS. */
void segment_tss_stack(InterpCPU *c, int ring, uint16_t *ss, uint64_t *sp)
{
    const SegmentCache *tr = &c->env->tr;
    unsigned type = (tr->flags >> DESC_TYPE_SHIFT) & 15;
    unsigned at = type & 8 ? 4 + ring * 8 : 2 + ring * 4;
    unsigned end = at + (c->lma ? 7 : type & 8 ? 5 : 3);
    if (!(tr->flags & DESC_P) || end > tr->limit) {
        raise_exception_err(c, EXC_TS, tr->selector & 0xfffc);
    }
    if (c->lma) {
        *sp = lin_load_as(c, tr->base + at, 8, TLB_KERNEL);
        *ss = (uint16_t)ring;
    } else if (type & 8) {
        *sp = lin_load_as(c, tr->base + at, 4, TLB_KERNEL);
        *ss = (uint16_t)lin_load_as(c, tr->base + at + 4, 2, TLB_KERNEL);
    } else {
        *sp = lin_load_as(c, tr->base + at, 2, TLB_KERNEL);
        *ss = (uint16_t)lin_load_as(c, tr->base + at + 2, 2, TLB_KERNEL);
    }
}
