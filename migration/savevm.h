/*
 * The registry of saved things, and what is built from it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_SAVEVM_H
#define FERRY_MIGRATION_SAVEVM_H

#include "migration-int.h"
#include "migration/vmstate.h"

/* Something that is sent while the guest runs, in START, PART and END sections. */
typedef struct LiveOps {
    /* Migration thread; each writes one body, its end mark included. */
    bool (*setup)(Migration *m, Stream *s, Error **errp);
    bool (*iterate)(Migration *m, Stream *s, Error **errp);
    bool (*complete)(Migration *m, Stream *s, Error **errp);
    /*
     * Body of a PART without pages, when all that was sent is to be in place: before the switch
     * to postcopy.  NULL: not needed.
     */
    bool (*mark)(Migration *m, Stream *s, Error **errp);
    /* Is its END left for the end of postcopy, when m goes on with postcopy? */
    bool (*can_postcopy)(const Migration *m);
    /* Thread that reads the main stream: one body of any of the three. */
    bool (*load)(Migration *m, Stream *s, int version_id, Error **errp);
} LiveOps;

/* One saved thing.  Machine lock; constant while a migration runs. */
typedef struct SaveEntry {
    char *idstr;                    /* [path/]name, at most 255 bytes */
    uint32_t instance_id;
    char *compat_idstr;             /* without the path; NULL: none */
    uint32_t compat_instance_id;
    uint32_t section_id;            /* a label on the wire, never used again */
    int version_id;
    MigrationPriority priority;
    const VMStateDescription *vmsd; /* device state ... */
    void *opaque;
    const LiveOps *live;            /* ... or a live thing */
} SaveEntry;

typedef struct SaveRegistry {
    GPtrArray *entries;             /* of SaveEntry, in the order of the stream */
    uint32_t next_section_id;
} SaveRegistry;

/* The registry of the process (migration.c keeps it).  Machine lock. */
SaveRegistry *save_registry(void);

/* ---- registry.c ---- */

SaveRegistry *save_registry_new(void);
void save_registry_free(SaveRegistry *reg);
bool save_registry_add(SaveRegistry *reg, const char *path, int instance_id,
                       const VMStateDescription *vmsd, void *opaque, Error **errp);
void save_registry_add_live(SaveRegistry *reg, const char *idstr, int version_id,
                            const LiveOps *ops);
/* Use up a section id for something that other emulators have and Ferry has not. */
void save_registry_skip_id(SaveRegistry *reg);
void save_registry_remove(SaveRegistry *reg, const VMStateDescription *vmsd, void *opaque);
/* What a (name, instance) of a stream means here; NULL: nothing. */
SaveEntry *save_registry_find(SaveRegistry *reg, const char *idstr, uint32_t instance_id);
/* Fails, naming it, when something registered cannot be migrated. */
bool save_registry_migratable(SaveRegistry *reg, Error **errp);

/* ---- savevm-config.c: the CONFIGURATION element ---- */

typedef struct StreamConfiguration {
    uint32_t name_len;
    char *name;                     /* machine class; name_len bytes */
    uint32_t n_caps;
    char **caps;                    /* names, n_caps of them */
    uint8_t uuid[16];
    bool has_uuid;
} StreamConfiguration;

extern const VMStateDescription vmstate_configuration;
/* What this process would send. */
StreamConfiguration *stream_configuration_new(const MigConfig *config);
void stream_configuration_free(StreamConfiguration *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamConfiguration, stream_configuration_free)
/* Body of a CONFIGURATION element: read it and compare it with this process. */
bool stream_configuration_load(Stream *s, const MigConfig *config, Error **errp);

#endif
