/*
 * Putting guest memory under userfaultfd and taking it out again.  Incoming thread at
 * LISTEN; at the end the listen thread, or the main thread when the process goes down.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <sys/mman.h>
#include <unistd.h>

#include "migration/config.h"
#include "migration/postcopy-ram/dest-int.h"
#include "migration/postcopy-ram/support.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/util.h"

/*
 * Off: also ends the populating ahead, whose helper gives each region its own advice.
 * An ioctl of userfaultfd refuses a range of several mappings (ENOENT), so from DISCARD
 * on a block must be one mapping again.
 */
void postcopy_thp(PostcopyDest *pd, bool on)
{
    if (pd->thp_off == !on) {
        return;
    }
    if (!on) {
        ram_load_stop_populating(pd->m->ram_dest);
    }
    for (unsigned i = 0; i < pd->pmi->num_blocks; i++) {
        const RAMBlock *rb = pd->pmi->blocks[i].rb;

        if (rb->page_size == (size_t)getpagesize()) {
            /* Advice: kernels without transparent huge pages refuse it. */
            madvise(rb->host, rb->used_length, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        }
    }
    pd->thp_off = !on;
}

static bool register_block(PostcopyDest *pd, PmiBlock *b, Error **errp)
{
    uint64_t ioctls;

    if (!uffd_register(pd->uffd, b->rb->host, b->length, UFFDIO_REGISTER_MODE_MISSING, &ioctls,
                       errp)) {
        error_prefix(errp, "RAM block '%s': ", b->rb->idstr);
        return false;
    }
    placer_allow_zeropage(pd->placer, b, ioctls & (1ULL << _UFFDIO_ZEROPAGE));
    trace_postcopy_register(b->rb->idstr, b->length, b->rb->page_size, ioctls);
    return true;
}

bool postcopy_register_all(PostcopyDest *pd, Error **errp)
{
    __atomic_store_n(&ram_incomplete, true, __ATOMIC_RELEASE);
    uint64_t features = postcopy_uffd_features(pd->blocktime);

    pd->uffd = uffd_open(postcopy_uffd_ways(), features, NULL, errp);
    if (pd->uffd < 0) {
        return false;
    }
    postcopy_thp(pd, false);
    for (; pd->registered < pd->pmi->num_blocks; pd->registered++) {
        if (!register_block(pd, &pd->pmi->blocks[pd->registered], errp)) {
            return false;
        }
    }
    /* Only now: nobody can make a missing page present any more by reading it. */
    return ram_load_drop_unreceived(pd->m->ram_dest, errp);
}

void postcopy_unregister_all(PostcopyDest *pd)
{
    for (; pd->registered; pd->registered--) {
        const PmiBlock *b = &pd->pmi->blocks[pd->registered - 1];
        g_autoptr(Error) err = NULL;

        if (!uffd_unregister(pd->uffd, b->rb->host, b->length, &err)) {
            warn_report("RAM block '%s': %s", b->rb->idstr, err->message);
        }
    }
    close_fd(&pd->uffd);
    __atomic_store_n(&ram_incomplete, false, __ATOMIC_RELEASE);
}
