/*
 * XBZRLE: encoding and cache.
 *
 * The encoding is pure; a cache belongs to one thread.
 *
 *   encoded = { length of what is the same, length of what is new, the new bytes } ...
 *
 * Lengths have at most 14 bits in at most two bytes, the low seven first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "xbzrle.h"

#include <glib.h>
#include <string.h>

#define PAGE TARGET_PAGE_SIZE
/* Equal bytes inside of new ones that are cheaper sent than described. */
#define GAP 4
/* A copy that was used in this many rounds before the present one keeps its place. */
#define KEEP_ROUNDS 2

/* ---- encoding ---- */

static size_t put_length(uint8_t *out, size_t n)
{
    if (n < 0x80) {
        out[0] = n;
        return 1;
    }
    out[0] = n | 0x80;
    out[1] = n >> 7;
    return 2;
}

static size_t same_until(const uint8_t *a, const uint8_t *b, size_t at)
{
    while (at < PAGE && at % 8 && a[at] == b[at]) {
        at++;
    }
    while (at + 8 <= PAGE && at % 8 == 0 && !memcmp(a + at, b + at, 8)) {
        at += 8;
    }
    while (at < PAGE && a[at] == b[at]) {
        at++;
    }
    return at;
}

/* End of what is new from `at` on: before GAP equal bytes, or the page's end. */
static size_t new_until(const uint8_t *a, const uint8_t *b, size_t at)
{
    size_t end = at;

    for (; at < PAGE && at - end < GAP; at++) {
        if (a[at] != b[at]) {
            end = at + 1;
        }
    }
    return end;
}

int xbzrle_encode(const uint8_t *from, const uint8_t *to, uint8_t *out)
{
    size_t len = 0, at = 0;

    for (;;) {
        size_t same = same_until(from, to, at), end;

        if (same == PAGE) {
            return len;
        }
        end = new_until(from, to, same);
        if (len + 4 + (end - same) > PAGE) {
            return -1;
        }
        len += put_length(out + len, same - at);
        len += put_length(out + len, end - same);
        memcpy(out + len, to + same, end - same);
        len += end - same;
        at = end;
    }
}

/* False: there is no length at *at. */
static bool get_length(const uint8_t *in, size_t len, size_t *at, size_t *ret)
{
    if (*at >= len) {
        return false;
    }
    *ret = in[(*at)++];
    if (*ret & 0x80) {
        if (*at >= len || in[*at] & 0x80) {
            return false;
        }
        *ret = (*ret & 0x7f) | (size_t)in[(*at)++] << 7;
    }
    return true;
}

bool xbzrle_decode(const uint8_t *in, size_t len, uint8_t *page, Error **errp)
{
    size_t at = 0, pos = 0, same, fresh;

    while (at < len) {
        bool first = at == 0;

        if (!get_length(in, len, &at, &same) || (!same && !first) ||
            !get_length(in, len, &at, &fresh) || !fresh || fresh > len - at ||
            same + fresh > PAGE - pos) {
            error_setg(errp, "the XBZRLE data of %zu bytes is damaged at byte %zu", len, at);
            return false;
        }
        pos += same;
        memcpy(page + pos, in + at, fresh);
        pos += fresh;
        at += fresh;
    }
    return true;
}

/* ---- cache ---- */

typedef struct Entry {
    RamAddr addr;
    uint64_t round; /* last used */
    uint8_t *page;  /* NULL: empty */
} Entry;

struct XbzrleCache {
    Entry *entries;
    uint64_t n; /* power of two */
};

XbzrleCache *xbzrle_cache_new(uint64_t bytes)
{
    XbzrleCache *c = g_new0(XbzrleCache, 1);

    c->n = MAX(bytes / PAGE, 1);
    c->entries = g_new0(Entry, c->n);
    return c;
}

void xbzrle_cache_free(XbzrleCache *c)
{
    for (uint64_t i = 0; c && i < c->n; i++) {
        g_free(c->entries[i].page);
    }
    if (c) {
        g_free(c->entries);
        g_free(c);
    }
}

static Entry *entry_of(XbzrleCache *c, RamAddr addr)
{
    return &c->entries[addr / PAGE & (c->n - 1)];
}

void xbzrle_cache_resize(XbzrleCache *c, uint64_t bytes)
{
    XbzrleCache *to;

    if (MAX(bytes / PAGE, 1) == c->n) {
        return;
    }
    to = xbzrle_cache_new(bytes);
    for (uint64_t i = 0; i < c->n; i++) {
        Entry *from = &c->entries[i], *e = entry_of(to, from->addr);

        if (from->page && (!e->page || e->round < from->round)) {
            g_free(e->page);
            *e = *from;
            from->page = NULL;
        }
    }
    /* The contents change places, the object stays. */
    XbzrleCache swap = *c;
    *c = *to;
    *to = swap;
    xbzrle_cache_free(to);
}

uint8_t *xbzrle_cache_get(XbzrleCache *c, RamAddr addr, uint64_t round)
{
    Entry *e = entry_of(c, addr);

    if (!e->page || e->addr != addr) {
        return NULL;
    }
    e->round = round;
    return e->page;
}

const uint8_t *xbzrle_cache_put(XbzrleCache *c, RamAddr addr, const uint8_t *page, uint64_t round)
{
    Entry *e = entry_of(c, addr);

    if (e->page && e->addr != addr && e->round + KEEP_ROUNDS > round) {
        return NULL;
    }
    if (!e->page) {
        e->page = g_malloc(PAGE);
    }
    memcpy(e->page, page, PAGE);
    e->addr = addr;
    e->round = round;
    return e->page;
}
