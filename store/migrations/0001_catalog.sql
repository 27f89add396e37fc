-- The catalog's tables. The same text runs on SQLite and on PostgreSQL, so only what both understand is used:
-- BIGINT times in Unix milliseconds, JSON as TEXT, numbers handed out by the table `serial` instead of auto-increment.

CREATE TABLE serial (
    name TEXT PRIMARY KEY,
    last BIGINT NOT NULL
);

CREATE TABLE entity (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    cluster TEXT NOT NULL,
    id TEXT NOT NULL,
    parent TEXT NOT NULL,
    labels TEXT NOT NULL,
    first_seen_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, cluster, id)
);
CREATE INDEX entity_parent ON entity (tenant, parent);

CREATE TABLE change_event (
    id BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    cluster TEXT NOT NULL,
    service TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    summary TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX change_event_time ON change_event (tenant, time_ms, id);

CREATE TABLE alert (
    tenant TEXT NOT NULL,
    rule_group TEXT NOT NULL,
    rule TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    active_at_ms BIGINT NOT NULL,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    state TEXT NOT NULL,
    -- As text, because a number column keeps neither NaN nor infinity.
    last_value TEXT NOT NULL,
    expression TEXT NOT NULL,
    fired_at_ms BIGINT,
    resolved_at_ms BIGINT,
    updated_at_ms BIGINT NOT NULL,
    ticket_id BIGINT,
    PRIMARY KEY (tenant, rule_group, rule, fingerprint, active_at_ms)
);
CREATE INDEX alert_time ON alert (tenant, active_at_ms);

CREATE TABLE ticket (
    id BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    dedup_key TEXT NOT NULL,
    title TEXT NOT NULL,
    severity TEXT NOT NULL,
    service TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    opened_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    resolved_at_ms BIGINT,
    evidence TEXT NOT NULL
);
CREATE INDEX ticket_time ON ticket (tenant, opened_at_ms, id);
-- At most one open ticket per key, however many writers there are.
CREATE UNIQUE INDEX ticket_open ON ticket (tenant, dedup_key)
    WHERE state IN ('open', 'acknowledged') AND dedup_key <> '';

CREATE TABLE ticket_entry (
    id BIGINT PRIMARY KEY,
    ticket_id BIGINT NOT NULL REFERENCES ticket (id),
    time_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    entry TEXT NOT NULL
);
CREATE INDEX ticket_entry_ticket ON ticket_entry (ticket_id, id);

CREATE TABLE scaling_decision (
    id BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    cluster TEXT NOT NULL,
    service TEXT NOT NULL,
    policy TEXT NOT NULL,
    orchestrator TEXT NOT NULL,
    replicas_from BIGINT NOT NULL,
    replicas_to BIGINT NOT NULL,
    ready BIGINT NOT NULL,
    mode TEXT NOT NULL,
    reason TEXT NOT NULL,
    seen TEXT NOT NULL,
    candidates TEXT NOT NULL,
    guards TEXT NOT NULL,
    state TEXT NOT NULL,
    result TEXT NOT NULL,
    acted_at_ms BIGINT,
    finished_at_ms BIGINT
);
CREATE INDEX scaling_decision_time ON scaling_decision (tenant, time_ms, id);
CREATE INDEX scaling_decision_service ON scaling_decision (tenant, service, time_ms);

CREATE TABLE scaling_state (
    tenant TEXT NOT NULL,
    cluster TEXT NOT NULL,
    service TEXT NOT NULL,
    state BYTEA NOT NULL,
    PRIMARY KEY (tenant, cluster, service)
);

CREATE TABLE report (
    id BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    title TEXT NOT NULL,
    subject TEXT NOT NULL,
    language TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    summary TEXT NOT NULL,
    html TEXT NOT NULL,
    markdown TEXT NOT NULL
);
CREATE INDEX report_time ON report (tenant, created_at_ms, id);

CREATE TABLE document (
    namespace TEXT NOT NULL,
    doc_key TEXT NOT NULL,
    body TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (namespace, doc_key)
);

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);

CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX audit_order ON audit (tenant, id);
