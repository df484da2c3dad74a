/*
 * Page map of incoming pages.  Belongs to no thread: atomics only.
 *
 * The fault thread asks (pmi_request) while the listen thread delivers
 * (pmi_received) the same page.  One writes `requested` and then looks at
 * `received`, the other writes `received` and then looks at `requested`; with
 * sequentially consistent atomics at least one of them sees the other, so a page
 * is never left REQUESTED after it came and a waiter is never forgotten.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/pmi.h"

#include "util/bitmap.h"

static void block_init(PmiBlock *b, RAMBlock *rb, unsigned long *received)
{
    b->rb = rb;
    b->length = rb->used_length;
    b->pages = b->length >> TARGET_PAGE_BITS;
    b->pages_per_host = rb->page_size >> TARGET_PAGE_BITS;
    b->host_pages = b->length / rb->page_size;
    b->received = received ? received : bitmap_new(b->pages);
    b->requested = bitmap_new(b->host_pages);
}

Pmi *pmi_new(RAMBlock *const *rbs, unsigned long *const *received, unsigned n)
{
    Pmi *pmi = g_new0(Pmi, 1);

    pmi->blocks = g_new0(PmiBlock, n);
    pmi->num_blocks = n;
    pmi->shared = received != NULL;
    for (unsigned i = 0; i < n; i++) {
        block_init(&pmi->blocks[i], rbs[i], received ? received[i] : NULL);
    }
    return pmi;
}

void pmi_free(Pmi *pmi)
{
    if (!pmi) {
        return;
    }
    for (unsigned i = 0; i < pmi->num_blocks; i++) {
        if (!pmi->shared) {
            g_free(pmi->blocks[i].received);
        }
        g_free(pmi->blocks[i].requested);
        g_free(pmi->blocks[i].digest);
    }
    g_free(pmi->blocks);
    g_free(pmi);
}

PmiBlock *pmi_find(const Pmi *pmi, const RAMBlock *rb)
{
    for (unsigned i = 0; i < pmi->num_blocks; i++) {
        if (pmi->blocks[i].rb == rb) {
            return &pmi->blocks[i];
        }
    }
    return NULL;
}

PmiBlock *pmi_find_host(const Pmi *pmi, const void *host, uint64_t *ret_offset)
{
    for (unsigned i = 0; i < pmi->num_blocks; i++) {
        PmiBlock *b = &pmi->blocks[i];
        uint64_t offset = (uintptr_t)host - (uintptr_t)b->rb->host;

        if (offset < b->length) {
            *ret_offset = offset;
            return b;
        }
    }
    return NULL;
}

static uint64_t host_page(const PmiBlock *b, uint64_t offset)
{
    return offset / b->rb->page_size;
}

static bool host_page_received(const PmiBlock *b, uint64_t hp)
{
    uint64_t first = hp * b->pages_per_host;

    if (b->pages_per_host == 1) {
        return __atomic_load_n(&b->received[BITMAP_WORD(first)], __ATOMIC_SEQ_CST) &
               BITMAP_MASK(first);
    }
    return bitmap_find_next_zero(b->received, first + b->pages_per_host, first) ==
           first + b->pages_per_host;
}

PmiState pmi_state(const PmiBlock *b, uint64_t offset)
{
    uint64_t hp = host_page(b, offset);

    if (host_page_received(b, hp)) {
        return PMI_RECEIVED;
    }
    return bitmap_test(b->requested, hp) ? PMI_REQUESTED : PMI_MISSING;
}

/* Leave REQUESTED, if the page is in it. */
static bool end_request(Pmi *pmi, PmiBlock *b, uint64_t hp)
{
    if (!bitmap_test_and_clear_atomic(b->requested, hp)) {
        return false;
    }
    __atomic_fetch_sub(&pmi->outstanding, 1, __ATOMIC_SEQ_CST);
    return true;
}

PmiState pmi_request(Pmi *pmi, PmiBlock *b, uint64_t offset)
{
    uint64_t hp = host_page(b, offset);

    if (host_page_received(b, hp)) {
        return PMI_RECEIVED;
    }
    /* Counted first, so that the count is never below the number of set bits. */
    __atomic_fetch_add(&pmi->outstanding, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&pmi->requests, 1, __ATOMIC_SEQ_CST);
    if (bitmap_test_and_set_atomic(b->requested, hp)) {
        __atomic_fetch_sub(&pmi->outstanding, 1, __ATOMIC_SEQ_CST);
        return PMI_REQUESTED;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (host_page_received(b, hp)) {
        end_request(pmi, b, hp);
        return PMI_RECEIVED;
    }
    return PMI_MISSING;
}

unsigned pmi_received(Pmi *pmi, PmiBlock *b, uint64_t offset, uint64_t len)
{
    unsigned waited = 0;

    bitmap_set_atomic(b->received, offset >> TARGET_PAGE_BITS, len >> TARGET_PAGE_BITS);
    if (__atomic_load_n(&pmi->outstanding, __ATOMIC_SEQ_CST) == 0) {
        return 0;
    }
    for (uint64_t hp = host_page(b, offset); hp <= host_page(b, offset + len - 1); hp++) {
        if (bitmap_test(b->requested, hp) && host_page_received(b, hp)) {
            waited += end_request(pmi, b, hp);
        }
    }
    return waited;
}

bool pmi_any_requested(const PmiBlock *b, uint64_t offset, uint64_t len)
{
    uint64_t end = host_page(b, offset + len - 1) + 1;

    return bitmap_find_next(b->requested, end, host_page(b, offset)) < end;
}

void pmi_discard(Pmi *pmi, PmiBlock *b, uint64_t offset, uint64_t len)
{
    bitmap_test_and_clear_range_atomic(b->received, offset >> TARGET_PAGE_BITS,
                                       len >> TARGET_PAGE_BITS);
    for (uint64_t hp = host_page(b, offset); hp <= host_page(b, offset + len - 1); hp++) {
        if (bitmap_test(b->requested, hp)) {
            end_request(pmi, b, hp);
        }
    }
}

bool pmi_next_missing(const PmiBlock *b, uint64_t offset, uint64_t *ret_offset, uint64_t *ret_len)
{
    uint64_t start = bitmap_find_next_zero(b->received, b->pages, offset >> TARGET_PAGE_BITS);
    uint64_t end;

    if (start == b->pages) {
        return false;
    }
    start -= start % b->pages_per_host;
    for (end = start; end < b->pages; end += b->pages_per_host) {
        uint64_t zero = bitmap_find_next_zero(b->received, end + b->pages_per_host, end);
        if (zero == end + b->pages_per_host) {
            break;
        }
        if (b->pages_per_host == 1) {
            /* Small pages: jump over the whole run. */
            end = bitmap_find_next(b->received, b->pages, zero) - 1;
        }
    }
    *ret_offset = start << TARGET_PAGE_BITS;
    *ret_len = (end - start) << TARGET_PAGE_BITS;
    return true;
}

int64_t pmi_outstanding(const Pmi *pmi)
{
    return __atomic_load_n(&pmi->outstanding, __ATOMIC_SEQ_CST);
}
