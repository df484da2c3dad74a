/*
 * Object types tls-creds-x509, tls-creds-psk and tls-creds-anon.  The files are read when the
 * object is made; who uses the credentials keeps them, also when the object goes.  Main
 * thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/tls-creds.h"

#include <string.h>

#include "qom/object.h"
#include "system/secret.h"

typedef struct TlsCredsObject {
    Object obj;
    char *dir, *priority, *username, *passwordid;
    int endpoint;
    bool verify_peer, sanity_check;
    TlsCreds *creds; /* after complete */
} TlsCredsObject;

enum { ENDPOINT_CLIENT, ENDPOINT_SERVER };
static const char *const endpoints[] = { "client", "server", NULL };

/* class_data of a kind of credentials. */
typedef struct TlsCredsClass {
    TlsCredsKind kind;
} TlsCredsClass;

TlsCreds *tls_creds_lookup(const char *id, bool server, Error **errp)
{
    Object *obj = object_user_by_id(id);
    TlsCredsObject *t = (TlsCredsObject *)obj;

    if (!obj) {
        error_setg(errp, "No TLS credentials with id '%s'", id);
        return NULL;
    }
    if (!object_is(obj, TYPE_TLS_CREDS)) {
        error_setg(errp, "Object with id '%s' is not TLS credentials", id);
        return NULL;
    }
    if ((t->endpoint == ENDPOINT_SERVER) != server) {
        error_setg(errp, "Expected TLS credentials for a %s endpoint; '%s' has endpoint=%s",
                   endpoints[server], id, endpoints[t->endpoint]);
        return NULL;
    }
    return tls_creds_ref(t->creds);
}

/* The password of the private key, as text. */
static bool key_password(const TlsCredsObject *t, char **ret_text, Error **errp)
{
    GBytes *bytes;
    const void *data;
    gsize len;

    *ret_text = NULL;
    if (!t->passwordid) {
        return true;
    }
    bytes = secret_lookup(t->passwordid, errp);
    if (!bytes) {
        return false;
    }
    data = g_bytes_get_data(bytes, &len);
    *ret_text = g_strndup(data, len);
    g_bytes_unref(bytes);
    return true;
}

static bool creds_complete(Object *obj, Error **errp)
{
    TlsCredsObject *t = (TlsCredsObject *)obj;
    const TlsCredsClass *c = type_class_data(obj->type);
    char *password;
    TlsCredsOptions o = {
        .kind = c->kind, .server = t->endpoint == ENDPOINT_SERVER, .verify_peer = t->verify_peer,
        .sanity_check = t->sanity_check, .dir = t->dir, .priority = t->priority,
        .username = t->username,
    };

    if (!key_password(t, &password, errp)) {
        return false;
    }
    o.key_password = password;
    t->creds = tls_creds_new(&o, errp);
    if (password) {
        explicit_bzero(password, strlen(password));
        g_free(password);
    }
    return t->creds != NULL;
}

static void creds_finalize(Object *obj)
{
    tls_creds_unref(((TlsCredsObject *)obj)->creds);
}

#define FIELD(f) .offset = offsetof(TlsCredsObject, f)

static const PropertyInfo creds_props[] = {
    { .name = "dir", .kind = PROP_STRING, FIELD(dir), .description = "folder of the files" },
    { .name = "endpoint", .kind = PROP_ENUM, FIELD(endpoint),
      .type_name = "QCryptoTLSCredsEndpoint", .enum_names = endpoints, .def = "client",
      .description = "client (a migration's source) or server (its destination)" },
    { .name = "verify-peer", .kind = PROP_BOOL, FIELD(verify_peer), .def = "on",
      .description = "ask for the peer's certificate and check it" },
    { .name = "priority", .kind = PROP_STRING, FIELD(priority),
      .description = "which algorithms, as GnuTLS writes it (default NORMAL)" },
    { NULL },
};

static const TypeInfo creds_type = {
    .name = TYPE_TLS_CREDS,
    .abstract = true,
    .instance_size = sizeof(TlsCredsObject),
    .props = creds_props,
    .complete = creds_complete,
    .finalize = creds_finalize,
};
TYPE_REGISTER(creds_type)

static const PropertyInfo x509_props[] = {
    { .name = "sanity-check", .kind = PROP_BOOL, FIELD(sanity_check), .def = "on",
      .description = "refuse an own certificate that peers would refuse" },
    { .name = "passwordid", .kind = PROP_STRING, FIELD(passwordid),
      .description = "secret that the private key is encrypted with" },
    { NULL },
};

static const TlsCredsClass x509_class = { TLS_CREDS_X509 };
static const TypeInfo x509_type = {
    .name = "tls-creds-x509",
    .parent = TYPE_TLS_CREDS,
    .user_creatable = true,
    .props = x509_props,
    .class_data = &x509_class,
    .description = "certificates for TLS",
};
TYPE_REGISTER(x509_type)

static const PropertyInfo psk_props[] = {
    { .name = "username", .kind = PROP_STRING, FIELD(username),
      .description = "client: whose key of keys.psk (default qemu)" },
    { NULL },
};

static const TlsCredsClass psk_class = { TLS_CREDS_PSK };
static const TypeInfo psk_type = {
    .name = "tls-creds-psk",
    .parent = TYPE_TLS_CREDS,
    .user_creatable = true,
    .props = psk_props,
    .class_data = &psk_class,
    .description = "pre-shared keys for TLS",
};
TYPE_REGISTER(psk_type)

static const TlsCredsClass anon_class = { TLS_CREDS_ANON };
static const TypeInfo anon_type = {
    .name = "tls-creds-anon",
    .parent = TYPE_TLS_CREDS,
    .user_creatable = true,
    .class_data = &anon_class,
    .description = "TLS that does not know its peer: no protection from an active attacker",
};
TYPE_REGISTER(anon_type)
