/*
 * CONFIGURATION: what both ends of a stream must agree on.
 *
 * Pure, but for the machine's name and UUID, which are constant.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "savevm.h"

#include <string.h>

#include "config.h"
#include "hw/core/machine.h"
#include "util/log.h"
#include "util/util.h"

#define MACHINE_NAME_MAX 4096
#define CAPS_MAX 64

/* Capabilities that change the stream without a sign of their own in it. */
static const MigCap checked_caps[] = { MIG_CAP_X_IGNORE_SHARED, MIG_CAP_MAPPED_RAM };

static bool get_caps(Stream *s, void *pv, size_t size, const VMStateField *field, Error **errp)
{
    StreamConfiguration *c = container_of((char ***)pv, StreamConfiguration, caps);
    char name[256];

    if (c->n_caps > CAPS_MAX) {
        error_setg(errp, "the stream lists %u capabilities; there are not more than %d", c->n_caps,
                   CAPS_MAX);
        return false;
    }
    c->caps = g_new0(char *, c->n_caps + 1);
    for (uint32_t i = 0; i < c->n_caps; i++) {
        MigCap cap;

        if (!stream_get_str8(s, name)) {
            stream_error(s, errp);
            return false;
        }
        if (!mig_cap_from_name(name, &cap)) {
            error_setg(errp, "the stream needs the capability '%s', which does not exist here",
                       name);
            return false;
        }
        c->caps[i] = g_strdup(name);
    }
    return true;
}

static void put_caps(Stream *s, const void *pv, size_t size, const VMStateField *field)
{
    char **caps = *(char ***)pv;

    for (; *caps; caps++) {
        stream_put_str8(s, *caps);
    }
}

static const VMStateInfo info_capability = {
    .name = "capability", .get = get_caps, .put = put_caps,
};

static bool caps_needed(void *opaque)
{
    return ((StreamConfiguration *)opaque)->n_caps > 0;
}

static const VMStateDescription vmstate_capabilities = {
    .name = "configuration/capabilities", .version_id = 1, .minimum_version_id = 1,
    .needed = caps_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_V(n_caps, StreamConfiguration, 1),
        VMSTATE_SINGLE_FULL(caps, StreamConfiguration, NULL, 1, info_capability, char **),
        VMSTATE_END_OF_LIST()
    },
};

static bool uuid_needed(void *opaque)
{
    return ((StreamConfiguration *)opaque)->has_uuid;
}

static bool uuid_post_load(void *opaque, int version_id, Error **errp)
{
    ((StreamConfiguration *)opaque)->has_uuid = true;
    return true;
}

static const VMStateDescription vmstate_uuid = {
    .name = "configuration/uuid", .version_id = 1, .minimum_version_id = 1,
    .needed = uuid_needed, .post_load = uuid_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8_ARRAY_V(uuid, StreamConfiguration, 16, 1),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_configuration = {
    .name = "configuration", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        { .name = "len", .info = &vmstate_info_uint32, .size = sizeof(uint32_t),
          .offset = vmstate_offset(StreamConfiguration, name_len, uint32_t) },
        VMSTATE_VBUFFER_ALLOC_UINT32(name, StreamConfiguration, 0, name_len, MACHINE_NAME_MAX),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) {
        &vmstate_capabilities, &vmstate_uuid, NULL
    },
};

StreamConfiguration *stream_configuration_new(const MigConfig *config)
{
    StreamConfiguration *c = g_new0(StreamConfiguration, 1);

    c->name = g_strdup(current_machine ? current_machine->mc->name : "none");
    c->name_len = strlen(c->name);
    c->caps = g_new0(char *, ARRAY_SIZE(checked_caps) + 1);
    for (size_t i = 0; i < ARRAY_SIZE(checked_caps); i++) {
        if (config->cap[checked_caps[i]]) {
            c->caps[c->n_caps++] = g_strdup(mig_cap_name(checked_caps[i]));
        }
    }
    if (config->cap[MIG_CAP_VALIDATE_UUID] && vm_uuid_set) {
        c->has_uuid = true;
        memcpy(c->uuid, vm_uuid, sizeof(c->uuid));
    }
    return c;
}

void stream_configuration_free(StreamConfiguration *c)
{
    if (c) {
        g_free(c->name);
        g_strfreev(c->caps);
        g_free(c);
    }
}

static bool check_caps(const StreamConfiguration *c, const MigConfig *config, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(checked_caps); i++) {
        const char *name = mig_cap_name(checked_caps[i]);
        bool there = c->caps && g_strv_contains((const char *const *)c->caps, name);

        if (there != config->cap[checked_caps[i]]) {
            error_setg(errp, "capability '%s' is %s in the stream and %s here; it must be the same",
                       name, there ? "on" : "off", there ? "off" : "on");
            return false;
        }
    }
    return true;
}

bool stream_configuration_load(Stream *s, const MigConfig *config, Error **errp)
{
    g_autoptr(StreamConfiguration) here = stream_configuration_new(config);
    g_autoptr(StreamConfiguration) c = g_new0(StreamConfiguration, 1);

    if (!vmstate_load(s, &vmstate_configuration, c, 1, errp)) {
        return false;
    }
    /* Only as many bytes as came are compared: other emulators do so as well. */
    if (strncmp(c->name ? c->name : "", here->name, c->name_len) != 0) {
        error_setg(errp, "the stream is of machine type '%.*s' and this machine is '%s'",
                   (int)c->name_len, c->name, here->name);
        return false;
    }
    if (c->has_uuid && !vm_uuid_set) {
        warn_report("the stream has a UUID and this machine has none: not compared");
    } else if (c->has_uuid && memcmp(c->uuid, vm_uuid, sizeof(c->uuid))) {
        g_autofree char *theirs = uuid_to_str(c->uuid), *ours = uuid_to_str(vm_uuid);

        error_setg(errp, "the stream is of the machine with UUID %s and this one has %s", theirs,
                   ours);
        return false;
    }
    return check_caps(c, config, errp);
}
