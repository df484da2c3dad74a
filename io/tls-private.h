/*
 * What tls-creds.c and channel-tls.c share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_IO_TLS_PRIVATE_H
#define FERRY_IO_TLS_PRIVATE_H

#include <gnutls/gnutls.h>

#include "io/tls.h"

struct TlsCreds {
    gint ref; /* atomic; all else is constant after tls_creds_new() */
    TlsCredsKind kind;
    bool server, verify_peer;
    char *priority; /* the whole string */
    gnutls_certificate_credentials_t x509;
    gnutls_psk_server_credentials_t psk_server;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_anon_server_credentials_t anon_server;
    gnutls_anon_client_credentials_t anon_client;
    gnutls_dh_params_t dh; /* of dh-params.pem; the credentials above point to it */
};

/* Priority and credentials into a session, which must not outlive c. */
bool tls_creds_apply(const TlsCreds *c, gnutls_session_t session, Error **errp);

#endif
