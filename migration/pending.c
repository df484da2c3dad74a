/* Weak stand-ins while folders land; removed when all are there. SPDX-License-Identifier: GPL-2.0-or-later */
#include "channel.h"
#include "state.h"
#include "postcopy-ram/postcopy.h"
#include "return-path.h"

#define WEAK __attribute__((weak))

static bool missing(Error **errp)
{
    error_setg(errp, "postcopy is not part of this build");
    return false;
}

WEAK bool postcopy_supported_by_host(Error **errp) { return missing(errp); }
WEAK PostcopySource *postcopy_source_new(Migration *m) { return NULL; }
WEAK void postcopy_source_free(PostcopySource *ps) { }
WEAK void postcopy_source_advise(Migration *m, Stream *s) { }
WEAK bool postcopy_switch(Migration *m, Error **errp) { return missing(errp); }
WEAK bool postcopy_source_guest_is_ours(Migration *m) { return true; }
WEAK bool postcopy_dest_advise(Migration *m, const uint8_t *p, size_t len, Error **errp) { return missing(errp); }
WEAK bool postcopy_dest_discard(Migration *m, const uint8_t *p, size_t len, Error **errp) { return missing(errp); }
WEAK bool postcopy_dest_listen(Migration *m, Error **errp) { return missing(errp); }
WEAK bool postcopy_dest_run(Migration *m, Error **errp) { return missing(errp); }
WEAK bool postcopy_dest_main_done(Migration *m, Error *err) { return false; }
WEAK void postcopy_dest_free(PostcopyDest *pd) { }
WEAK void postcopy_dest_query(Migration *m, JsonBuilder *b) { }
WEAK ReturnPath *return_path_start(Migration *m) { return NULL; }
WEAK bool return_path_ended(ReturnPath *rp, Error **errp) { return false; }
WEAK bool return_path_join(ReturnPath *rp, Error **errp) { return true; }
WEAK void return_path_free(ReturnPath *rp) { }

WEAK void mig_state_emit_event(MigSide side, MigState from, MigState to, void *opaque) { }
WEAK void migrate_address_free(MigrateAddress *a) { }
WEAK char *migrate_address_to_str(const MigrateAddress *a) { return g_strdup("?"); }
WEAK MigrateAddress *migrate_address_from_option(const char *arg, Error **errp) { missing(errp); return NULL; }
WEAK MigConnector *mig_connector_new(const MigrateAddress *a, Error **errp) { missing(errp); return NULL; }
WEAK IOChannel *mig_connector_connect(MigConnector *c, Error **errp) { missing(errp); return NULL; }
WEAK void mig_connector_cancel(MigConnector *c) { }
WEAK void mig_connector_free(MigConnector *c) { }
WEAK MigListener *mig_listener_new(const MigrateAddress *a, MigAccepted *f, void *o, Error **errp) { missing(errp); return NULL; }
WEAK void mig_listener_free(MigListener *l) { }
