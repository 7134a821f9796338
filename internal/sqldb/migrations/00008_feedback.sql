-- +goose Up

-- What readers say of a page of the documentation: one answer for a page and an author, which may change. No address.
CREATE TABLE doc_feedback (
    id         text    NOT NULL PRIMARY KEY,
    page       text    NOT NULL CHECK (page <> ''),
    author     text    NOT NULL CHECK (author <> ''), -- who is signed in, by their id; else the hash of a receipt that only the reader has
    helpful    boolean NOT NULL,
    comment    text    NOT NULL,
    created_at bigint  NOT NULL,
    updated_at bigint  NOT NULL
);
CREATE UNIQUE INDEX doc_feedback_author ON doc_feedback (page, author);
CREATE INDEX doc_feedback_updated ON doc_feedback (updated_at, id);

-- +goose Down
