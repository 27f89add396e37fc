-- What scaled services have cost: sums by the hour.
CREATE TABLE scaling_ledger (
    tenant TEXT NOT NULL,
    hour_ms BIGINT NOT NULL,
    cluster TEXT NOT NULL,
    service TEXT NOT NULL,
    team TEXT NOT NULL,
    replica_ms BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (tenant, hour_ms, cluster, service, team)
);
