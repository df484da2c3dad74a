/*
 * Objects tls-creds-x509, tls-creds-psk and tls-creds-anon.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_TLS_CREDS_H
#define FERRY_SYSTEM_TLS_CREDS_H

#include "io/tls.h"

#define TYPE_TLS_CREDS "tls-creds"

/* Credentials of the object called id, for this end; a new reference, NULL with errp set. */
TlsCreds *tls_creds_lookup(const char *id, bool server, Error **errp);

#endif
