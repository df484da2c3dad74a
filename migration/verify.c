/*
 * Digests of guest memory, and what is known of their comparison.  Any thread; a Verify has a
 * lock of its own, a leaf.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "verify.h"

#include <xxhash.h>

#include "pagemap.h"
#include "util/util.h"

uint64_t verify_digest(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

uint64_t verify_digest_zero(void)
{
    static const uint8_t zeros[TARGET_PAGE_SIZE];
    static uint64_t digest; /* atomic; whoever comes first finds the same */
    uint64_t d = __atomic_load_n(&digest, __ATOMIC_RELAXED);

    if (!d) {
        d = verify_digest(zeros, sizeof(zeros));
        __atomic_store_n(&digest, d, __ATOMIC_RELAXED);
    }
    return d;
}

void verify_hash_pages(const RAMBlock *rb, uint64_t page, uint64_t n, uint64_t *digests)
{
    Pagemap pm = { .rb = NULL };

    for (uint64_t i = 0; i < n; i++) {
        uint64_t d;

        if (i % PAGEMAP_PAGES == 0 && n - i >= PAGEMAP_WORTH) {
            pagemap_read(&pm, rb, page + i, n - i);
        }
        d = pagemap_untouched(&pm, rb, page + i)
                ? verify_digest_zero()
                : verify_digest(rb->host + ((page + i) << TARGET_PAGE_BITS), TARGET_PAGE_SIZE);
        __atomic_store_n(&digests[i], d, __ATOMIC_RELAXED);
    }
}

Verify *verify_new(MigrationVerifyStatus status)
{
    Verify *v = g_new0(Verify, 1);

    g_mutex_init(&v->lock);
    v->status = status;
    v->on = status != MIGRATION_VERIFY_STATUS_UNSUPPORTED;
    return v;
}

void verify_free(Verify *v)
{
    if (v) {
        g_mutex_clear(&v->lock);
        g_free(v->block);
        g_free(v);
    }
}

MigrationVerify *verify_query(const Migration *m)
{
    Verify *v = __atomic_load_n(&m->verify, __ATOMIC_ACQUIRE);
    MigrationVerify *info;

    if (!v) {
        return NULL;
    }
    info = g_new0(MigrationVerify, 1);
    g_mutex_lock(&v->lock);
    info->status = v->status;
    info->pages = v->pages;
    info->bad_pages = v->bad_pages;
    info->device_differs = v->device_differs;
    info->has_offset = v->block != NULL;
    info->offset = v->offset;
    info->block = g_strdup(v->block);
    g_mutex_unlock(&v->lock);
    return info;
}
