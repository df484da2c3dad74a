/* Weak stand-ins while folders land; removed when all are there. SPDX-License-Identifier: GPL-2.0-or-later */
#include "channel.h"
#include "state.h"

#define WEAK __attribute__((weak))

static bool missing(Error **errp)
{
    error_setg(errp, "postcopy is not part of this build");
    return false;
}


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
