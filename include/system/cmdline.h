/*
 * The command line, as the rest of the program sees it: which options there are, and
 * what was asked for that later commands need to know.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_CMDLINE_H
#define FERRY_SYSTEM_CMDLINE_H

#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "util/error.h"

/*
 * Array of {option, parameters: [{name, type, help}]} (query-command-line-options) of the
 * options that take parameters; `option` NULL: all.  NULL with errp set: no such option.
 */
JsonArray *cmdline_options_describe(const char *option, Error **errp);

/* -nodefaults was not given: machines may add what a PC has. */
bool cmdline_default_devices(void);

#endif
