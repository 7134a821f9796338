-- +goose Up

-- Groups of directories whose people are led to a connection that is tried out. A group that is deleted there stays, under
-- the name that it had, and leads nobody.
CREATE TABLE connection_pilot_groups (
    connection   text NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    organization text NOT NULL REFERENCES organizations (id),
    group_id     text NOT NULL, -- of directory_groups; it may be gone
    name         text NOT NULL, -- when it was chosen
    PRIMARY KEY (connection, group_id)
);
CREATE INDEX connection_pilot_groups_of ON connection_pilot_groups (organization, connection);

-- +goose Down
