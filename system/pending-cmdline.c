/* Weak stand-ins while folders land; removed when all are there. SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/accel.h"
#include "migration/migration.h"
#include "target/i386/cpu.h"
#include "io/channel.h"
#define W __attribute__((weak))
W void socket_addr_free(SocketAddr *a) { }
W SocketAddr *socket_addr_copy(const SocketAddr *a) { return NULL; }
W char *socket_addr_to_str(const SocketAddr *a) { return g_strdup("?"); }
W int socket_connect(const SocketAddr *a, Error **errp) { error_setg(errp, "pending"); return -1; }
W int socket_listen(const SocketAddr *a, int backlog, Error **errp) { error_setg(errp, "pending"); return -1; }
W int socket_accept(int fd, Error **errp) { error_setg(errp, "pending"); return -1; }
W bool only_migratable;
W void migration_init(void) { }
W void migration_machine_ready(void) { }
W void migration_shutdown(void) { }
W bool migration_incoming_option(const char *arg, Error **errp) { error_setg(errp, "pending"); return false; }
W bool migration_global_property(const char *p, const char *v, Error **errp) { error_setg(errp, "pending"); return false; }
static bool none_init(GHashTable *o, Error **errp) { return true; }
static const AccelOps none = { .name = "none", .init = none_init };
W bool accel_try_init(const char *arg, Error **errp) { accel = &none; return true; }
W const X86CPUModel *x86_cpu_models(void) { static const X86CPUModel m; return &m; }
