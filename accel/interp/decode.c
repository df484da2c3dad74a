/*
 * Instruction decoder and the cache of decoded instructions.
 *
 * A decoded instruction depends on its bytes and the code mode only.  A cached
 * one is used when the bytes in memory are still the same, so writes to code by
 * this CPU, another one, a device or a migration need no notice.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "optable.h"
#include "ops.h"

/* Where the decoder is. */
typedef struct Reader {
    const uint8_t *p;
    unsigned n, pos;
    bool short_of; /* bytes ran out */
    CodeMode mode;
    bool has_66, has_67;
    uint8_t rex;
    uint8_t mod, reg, rm; /* of modrm, without REX */
} Reader;

static uint64_t take(Reader *r, unsigned size)
{
    uint64_t v = 0;
    if (r->n - r->pos < size) {
        r->short_of = true;
        return 0;
    }
    for (unsigned k = 0; k < size; k++) {
        v |= (uint64_t)r->p[r->pos + k] << (8 * k);
    }
    r->pos += size;
    return v;
}

static bool take_prefix(Reader *r, Insn *i, uint8_t b)
{
    static const int8_t segs[256] = {
        [0x26] = R_ES + 1, [0x2e] = R_CS + 1, [0x36] = R_SS + 1,
        [0x3e] = R_DS + 1, [0x64] = R_FS + 1, [0x65] = R_GS + 1,
    };
    if (segs[b]) {
        /* 64-bit code ignores all but fs and gs */
        if (r->mode != CODE_64 || b >= 0x64) {
            i->seg = segs[b] - 1;
            i->prefix |= P_SEG;
        }
        r->rex = 0;
        return true;
    }
    switch (b) {
    case 0x66:
        r->has_66 = true;
        i->prefix |= P_66;
        break;
    case 0x67:
        r->has_67 = true;
        break;
    case 0xf0:
        i->lock = true;
        break;
    case 0xf2:
    case 0xf3:
        i->rep = b;
        break;
    default:
        if (r->mode == CODE_64 && (b & 0xf0) == 0x40) {
            r->rex = b;
            return true;
        }
        return false;
    }
    r->rex = 0;
    return true;
}

/* Memory operand of 16-bit addressing. */
static void take_mem16(Reader *r, Insn *i)
{
    static const uint8_t bases[8] = {R_EBX, R_EBX, R_EBP, R_EBP, R_ESI, R_EDI, R_EBP, R_EBX};
    static const uint8_t indexes[8] = {R_ESI, R_EDI,    R_ESI,    R_EDI,
                                       NO_REG, NO_REG, NO_REG, NO_REG};
    i->base = bases[r->rm];
    i->index = indexes[r->rm];
    if (r->mod == 0 && r->rm == 6) {
        i->base = NO_REG;
        i->disp = (int16_t)take(r, 2);
    } else if (r->mod == 1) {
        i->disp = (int8_t)take(r, 1);
    } else if (r->mod == 2) {
        i->disp = (int16_t)take(r, 2);
    }
    if (!(i->prefix & P_SEG)) {
        i->seg = i->base == R_EBP ? R_SS : R_DS;
    }
}

static void take_mem32(Reader *r, Insn *i)
{
    uint8_t base = r->rm;
    i->index = NO_REG;
    if (r->rm == 4) {
        uint8_t sib = (uint8_t)take(r, 1);
        base = sib & 7;
        i->scale = sib >> 6;
        i->index = ((sib >> 3) & 7) | ((r->rex & 2) << 2);
        if (i->index == 4) {
            i->index = NO_REG;
        }
    }
    i->base = base | ((r->rex & 1) << 3);
    if (r->mod == 0 && base == 5) {
        i->base = r->mode == CODE_64 && r->rm != 4 ? BASE_RIP : NO_REG;
        i->disp = (int32_t)take(r, 4);
    } else if (r->mod == 1) {
        i->disp = (int8_t)take(r, 1);
    } else if (r->mod == 2) {
        i->disp = (int32_t)take(r, 4);
    }
    if (!(i->prefix & P_SEG)) {
        i->seg = i->base == R_ESP || i->base == R_EBP ? R_SS : R_DS;
    }
}

static void take_modrm(Reader *r, Insn *i, uint32_t flags)
{
    uint8_t b = (uint8_t)take(r, 1);
    i->raw_modrm = b;
    r->mod = b >> 6;
    r->reg = (b >> 3) & 7;
    r->rm = b & 7;
    i->reg = r->reg | ((r->rex & 4) << 1);
    i->mod3 = r->mod == 3 || (flags & O_RMREG);
    if (i->mod3) {
        i->rm = r->rm | ((r->rex & 1) << 3);
    } else if (i->asize == 2) {
        take_mem16(r, i);
    } else {
        take_mem32(r, i);
    }
}

static unsigned operand_size(const Reader *r, uint32_t flags)
{
    if (flags & O_B) {
        return 1;
    }
    if (r->mode == CODE_64) {
        if ((flags & O_F64) || (r->rex & 8)) {
            return 8;
        }
        if (flags & O_D64) {
            return r->has_66 ? 2 : 8;
        }
        return r->has_66 ? 2 : 4;
    }
    return (r->mode == CODE_32) != r->has_66 ? 4 : 2;
}

static void take_immediates(Reader *r, Insn *i, uint32_t flags)
{
    if (flags & O_I8) {
        i->imm = (uint64_t)(int64_t)(int8_t)take(r, 1);
    } else if (flags & O_IZ) {
        unsigned n = i->size == 8 ? 4 : i->size;
        i->imm = (uint64_t)sign_extend(take(r, n), n);
    } else if (flags & O_IV) {
        i->imm = take(r, i->size);
    } else if (flags & O_IW) {
        i->imm = take(r, 2);
    } else if (flags & O_MOFF) {
        i->imm = take(r, i->asize);
        if (!(i->prefix & P_SEG)) {
            i->seg = R_DS;
        }
    } else if (flags & O_PTR) {
        i->imm = take(r, i->size);
        i->disp = (int32_t)take(r, 2);
    }
    if (flags & O_IB2) {
        i->imm2 = (uint8_t)take(r, 1);
    }
}

/* The table row of the opcode. */
static const OpDesc *take_opcode(Reader *r, Insn *i, uint8_t b)
{
    i->op = b;
    if (b != 0x0f) {
        if (r->mode == CODE_64 && b == 0x63) {
            return &optable_movsxd;
        }
        return &optable_1[b];
    }
    i->op = b = (uint8_t)take(r, 1);
    if (b == 0x38) {
        i->op = b = (uint8_t)take(r, 1);
        return &optable_0f38[b];
    }
    return &optable_0f[b];
}

/* Follow groups and mandatory prefixes down to a row with a handler. */
static const OpDesc *resolve(const Reader *r, Insn *i, const OpDesc *d, uint32_t *flags)
{
    while (d->flags & (O_GROUP | O_PFX)) {
        if (d->flags & O_GROUP) {
            d = &d->sub[r->reg + ((d->flags & O_MOD3) && r->mod == 3 ? 8 : 0)];
        } else {
            d = &d->sub[i->rep == 0xf3 ? 2 : i->rep == 0xf2 ? 3 : r->has_66 ? 1 : 0];
        }
        *flags |= d->flags;
    }
    return d;
}

/* Byte registers 4..7 are ah..bh when there is no REX. */
static void map_byte_registers(const Reader *r, Insn *i, uint32_t flags)
{
    if (i->prefix & P_REX) {
        return;
    }
    if ((flags & (O_B | O_RMB)) && i->mod3 && i->rm >= 4 && i->rm < 8) {
        i->rm = 16 | (i->rm & 3);
    }
    if ((flags & O_B) && i->reg >= 4 && i->reg < 8) {
        i->reg = 16 | (i->reg & 3);
    }
}

static bool bad_encoding(const Reader *r, const Insn *i, uint32_t flags)
{
    bool mem = (flags & O_M) && !i->mod3;
    return (r->mode == CODE_64 && (flags & O_NO64)) ||
           (r->mode != CODE_64 && (flags & O_ONLY64)) || ((flags & O_MEM) && i->mod3) ||
           ((flags & O_REG) && !i->mod3) || (i->lock && !(mem && (flags & O_LOCK)));
}

static InsnFn pick_handler(const OpDesc *d, const Insn *i)
{
    static const uint8_t index[9] = {[1] = 0, [2] = 1, [4] = 2, [8] = 3};
    InsnFn fn = d->v ? d->v[index[i->size]] : d->fn;
    return fn ? fn : op_unknown;
}

bool decode_insn(Insn *i, const uint8_t *p, unsigned n, CodeMode mode)
{
    Reader r = {.p = p, .n = MIN(n, 15), .mode = mode};
    memset(i, 0, sizeof(*i));
    i->mode = mode;
    i->base = i->index = NO_REG;
    i->seg = R_DS;
    uint8_t b = (uint8_t)take(&r, 1);
    while (!r.short_of && take_prefix(&r, i, b)) {
        b = (uint8_t)take(&r, 1);
    }
    i->prefix |= (r.rex ? P_REX : 0) | (r.rex & 8 ? P_REXW : 0);
    i->asize = mode == CODE_64 ? (r.has_67 ? 4 : 8) : (mode == CODE_32) != r.has_67 ? 4 : 2;

    const OpDesc *d = take_opcode(&r, i, b);
    uint32_t flags = d->flags;
    if (flags & O_M) {
        take_modrm(&r, i, flags);
    }
    d = resolve(&r, i, d, &flags);
    i->size = operand_size(&r, flags);
    if (flags & O_OPREG) {
        i->rm = (i->op & 7) | ((r.rex & 1) << 3);
        i->mod3 = true;
    } else if (flags & O_ACC) {
        i->rm = R_EAX;
        i->mod3 = true;
    }
    take_immediates(&r, i, flags);
    map_byte_registers(&r, i, flags);
    i->fn = pick_handler(d, i);
    if (bad_encoding(&r, i, flags)) {
        i->fn = op_undefined;
        if ((i->op == 0xc4 || i->op == 0xc5 || i->op == 0x62) && !i->lock) {
            i->fn = op_unknown; /* VEX and EVEX */
        }
    }
    if (r.short_of) {
        if (n < 15) {
            return false;
        }
        i->fn = op_too_long;
    }
    i->len = r.pos;
    memcpy(i->bytes, p, r.pos);
    return true;
}

static bool same_bytes(const Insn *i, const uint8_t *p, unsigned room)
{
    if (likely(room >= 16)) {
        uint64_t a[2], b[2];
        memcpy(a, p, 16);
        memcpy(b, i->bytes, 16);
        if (i->len <= 8) {
            return !((a[0] ^ b[0]) << (64 - i->len * 8));
        }
        return a[0] == b[0] && !((a[1] ^ b[1]) << (128 - i->len * 8));
    }
    return i->len <= room && memcmp(i->bytes, p, i->len) == 0;
}

/* The instruction begins on code_page and may go on in the next page. */
static const Insn *fetch_crossing(InterpCPU *c, uint64_t lin)
{
    uint8_t buf[16] = {0};
    unsigned first = 4096 - (lin & 0xfff);
    memcpy(buf, c->code_host + (lin & 0xfff), first);
    if (decode_insn(&c->scratch, buf, first, c->mode)) {
        return &c->scratch;
    }
    mmu_fetch_page(c, ((lin | 0xfff) + 1) & c->lin_mask);
    memcpy(buf + first, c->code_host, 15 - first);
    decode_insn(&c->scratch, buf, 15, c->mode);
    return &c->scratch;
}

const Insn *decode_fetch(InterpCPU *c, uint64_t lin)
{
    if (unlikely((lin & ~0xfffULL) != c->code_page)) {
        mmu_fetch_page(c, lin);
    }
    unsigned room = 4096 - (lin & 0xfff);
    const uint8_t *p = c->code_host + (lin & 0xfff);
    Insn *i = &c->icache[(lin ^ (lin >> ICACHE_BITS)) & (ICACHE_SIZE - 1)];
    if (likely(i->mode == c->mode && same_bytes(i, p, room))) {
        return i;
    }
    if (room < 15) {
        return fetch_crossing(c, lin);
    }
    /* The bytes are copied once, so that what is decoded is what is remembered. */
    uint8_t buf[16];
    memcpy(buf, p, 15);
    decode_insn(i, buf, 15, c->mode);
    return i;
}
