-- +goose Up

-- One line for each check that was answered, and for each call by a key or token: what was asked, by whom, and how it
-- went. Never a body, an address with its query, or a secret. Lines are gathered in memory and may be lost.
CREATE TABLE requests (
    organization text    NOT NULL REFERENCES organizations (id),
    at           bigint  NOT NULL,
    id           text    NOT NULL,
    face         text    NOT NULL, -- how it was asked: "forward-auth", "authzen", "api"
    kind         text    NOT NULL, -- of the credential: "user" (a session, or a person that was asked about), "key", "token"
    credential   text    NOT NULL, -- a session's, key's or token's id; empty where a person was asked about
    user_id      text    NOT NULL,
    member       text    NOT NULL,
    permission   text    NOT NULL,
    resource     text    NOT NULL, -- "workflow:wf_1"; empty: the organization as a whole
    method       text    NOT NULL,
    route        text    NOT NULL, -- the charter's pattern, or the operation's name
    allowed      boolean NOT NULL,
    code         text    NOT NULL, -- why
    status       bigint  NOT NULL, -- what the product answered; 0: nobody said
    took         bigint  NOT NULL, -- microseconds
    address      text    NOT NULL,
    agent        text    NOT NULL,
    request_id   text    NOT NULL,
    PRIMARY KEY (organization, at, id)
);
CREATE INDEX requests_credential ON requests (organization, credential, at, id);
CREATE INDEX requests_member ON requests (organization, member, at, id);
CREATE INDEX requests_allowed ON requests (organization, allowed, at, id);
CREATE INDEX requests_request ON requests (organization, request_id);

-- +goose Down
