-- +goose Up

-- A finding that somebody said is as it should be, until a date.
CREATE TABLE dismissals (
    organization text   NOT NULL REFERENCES organizations (id),
    finding      text   NOT NULL, -- kind and subject: "unused_member:mem_..."
    reason       text   NOT NULL,
    until_at     bigint NOT NULL,
    dismissed_by text   NOT NULL, -- a user's or key's id, or operator
    dismissed_at bigint NOT NULL,
    PRIMARY KEY (organization, finding)
);

-- A review of who has access. Nothing of it is ever deleted: it is the evidence.
CREATE TABLE reviews (
    id           text   NOT NULL PRIMARY KEY,
    organization text   NOT NULL REFERENCES organizations (id),
    title        text   NOT NULL,
    subject      text   NOT NULL CHECK (subject IN ('members', 'role', 'service_accounts', 'keys')),
    role         text   NOT NULL, -- of a review of one role; else empty
    state        text   NOT NULL CHECK (state IN ('open', 'completed', 'cancelled')),
    starter      text   NOT NULL, -- the member who is told; empty: the operator started it
    started_by   text   NOT NULL, -- a user's or key's id, operator, or the name of the scheduled work
    started_at   bigint NOT NULL,
    due_at       bigint NOT NULL,
    due_days     bigint NOT NULL, -- how long it was given when it began
    repeat_days  bigint NOT NULL, -- 0: it is not repeated
    repeats_at   bigint NOT NULL, -- when the next one begins; 0: never
    next         text   NOT NULL, -- the review that repeats it; empty: none yet
    reviewers    text   NOT NULL, -- members: " mem_1 mem_2 "; empty: whoever manages reviews
    reminded_at  bigint NOT NULL,
    settled_at   bigint NOT NULL,
    settled_by   text   NOT NULL,
    version      bigint NOT NULL
);
CREATE INDEX reviews_started ON reviews (organization, started_at, id);
CREATE INDEX reviews_due ON reviews (due_at) WHERE state = 'open';
CREATE INDEX reviews_repeats ON reviews (repeats_at) WHERE repeats_at <> 0;

-- A row of a review, as it was when the review began, and what was decided about it. Names are not kept here: they are
-- those of the member, service account or key, so that a person can be erased.
CREATE TABLE review_items (
    organization    text   NOT NULL REFERENCES organizations (id),
    review          text   NOT NULL REFERENCES reviews (id),
    subject         text   NOT NULL, -- the id of a member, service account or key
    kind            text   NOT NULL CHECK (kind IN ('member', 'service_account', 'key')),
    person          text   NOT NULL, -- the user whose access it is; empty: nobody's in particular
    reviewer        text   NOT NULL, -- the member who is asked; empty: whoever manages reviews
    role            text   NOT NULL, -- of a member or service account
    status          text   NOT NULL,
    began_at        bigint NOT NULL, -- joined, or made
    ends_at         bigint NOT NULL, -- 0: never
    used_at         bigint NOT NULL, -- last active, or last used; 0: never
    subject_version bigint NOT NULL, -- of the member, service account or key when it was last looked at
    decision        text   NOT NULL CHECK (decision IN ('', 'keep', 'reduce', 'remove')),
    to_role         text   NOT NULL, -- of reduce
    reason          text   NOT NULL,
    decided_by      text   NOT NULL,
    decided_at      bigint NOT NULL,
    outcome         text   NOT NULL CHECK (outcome IN ('', 'kept', 'reduced', 'removed', 'gone', 'undecided')),
    version         bigint NOT NULL,
    PRIMARY KEY (review, subject)
);
CREATE INDEX review_items_of ON review_items (organization, review, subject);
CREATE INDEX review_items_subject ON review_items (organization, subject);

-- +goose Down
