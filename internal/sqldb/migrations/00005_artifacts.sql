-- +goose Up

-- The regions that an organization allows beside its default one, with spaces between; empty: that one alone.
ALTER TABLE organizations ADD COLUMN allowed_regions text NOT NULL DEFAULT '';

-- Stored files. A row begins when its upload does, and stays as the proof of the deletion when the file is gone.
CREATE TABLE artifacts (
    id             text   NOT NULL PRIMARY KEY,
    organization   text   NOT NULL REFERENCES organizations (id),
    state          text   NOT NULL CHECK (state IN ('uploading', 'stored', 'deleted', 'abandoned')),
    name           text   NOT NULL, -- '' once it is deleted
    folded         text   NOT NULL, -- the name as it is searched; '' once it is deleted
    media_type     text   NOT NULL,
    size           bigint NOT NULL CHECK (size >= 0),
    sha256         text   NOT NULL, -- hexadecimal; '' while it is uploading
    resource       text   NOT NULL, -- the product's own thing that it belongs to, "execution:ex_1"; '' for none
    region         text   NOT NULL,
    created_by     text   NOT NULL, -- a member, a key, a service key
    created_at     bigint NOT NULL,
    version        bigint NOT NULL,
    deleted_at     bigint NOT NULL, -- 0: it is not
    deleted_by     text   NOT NULL, -- who; "retention" for the sweeper
    gone_at        bigint NOT NULL, -- when the bytes of a deleted one were gone; 0: they may still be there
    CHECK (state <> 'stored' OR sha256 <> ''),
    CHECK ((state = 'deleted') = (deleted_at <> 0))
);
CREATE INDEX artifacts_stored ON artifacts (organization, id) WHERE state = 'stored';
CREATE INDEX artifacts_resource ON artifacts (organization, resource, id) WHERE state = 'stored' AND resource <> '';
CREATE INDEX artifacts_age ON artifacts (organization, created_at, size) WHERE state = 'stored';
CREATE INDEX artifacts_deleted ON artifacts (organization, deleted_at, id) WHERE state = 'deleted';
CREATE INDEX artifacts_unsettled ON artifacts (state, id) WHERE gone_at = 0 AND state <> 'stored';

-- How much there is of an organization, which would otherwise be added up at every upload.
CREATE TABLE artifact_totals (
    organization text   NOT NULL PRIMARY KEY REFERENCES organizations (id),
    files        bigint NOT NULL CHECK (files >= 0),
    bytes        bigint NOT NULL CHECK (bytes >= 0)
);

-- What is kept in spite of retention, and in spite of everybody, until it is released.
CREATE TABLE legal_holds (
    id             text   NOT NULL PRIMARY KEY,
    organization   text   NOT NULL REFERENCES organizations (id),
    covers         text   NOT NULL CHECK (covers IN ('organization', 'resource', 'artifacts')),
    resource       text   NOT NULL, -- what a covered resource begins with; '' where another thing is covered
    reason         text   NOT NULL CHECK (reason <> ''),
    created_by     text   NOT NULL,
    created_at     bigint NOT NULL,
    released_at    bigint NOT NULL, -- 0: in force
    released_by    text   NOT NULL,
    release_reason text   NOT NULL,
    CHECK ((covers = 'resource') = (resource <> ''))
);
CREATE INDEX legal_holds_organization ON legal_holds (organization, id);
CREATE INDEX legal_holds_in_force ON legal_holds (organization) WHERE released_at = 0;

-- The single files of a hold that covers such. A row outlives its file.
CREATE TABLE legal_hold_artifacts (
    hold         text NOT NULL REFERENCES legal_holds (id),
    organization text NOT NULL REFERENCES organizations (id),
    artifact     text NOT NULL,
    PRIMARY KEY (hold, artifact)
);
CREATE INDEX legal_hold_artifacts_artifact ON legal_hold_artifacts (organization, artifact);

-- What the product says that it deleted of its own files, by the moment up to which they were due.
CREATE TABLE retention_acknowledgements (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    cutoff       bigint NOT NULL,
    files        bigint NOT NULL CHECK (files >= 0),
    bytes        bigint NOT NULL CHECK (bytes >= 0),
    by_key       text   NOT NULL,
    created_at   bigint NOT NULL
);
CREATE UNIQUE INDEX retention_acknowledgements_cutoff ON retention_acknowledgements (organization, cutoff);

-- +goose Down
