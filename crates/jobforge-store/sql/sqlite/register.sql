-- register
-- Makes a worker known. Registering the same incarnation again renews nothing and fails nothing.
-- ?1 id, ?2 name, ?3 hostname, ?4 pid, ?5 queues, ?6 types, ?7 slots, ?8 lease_ms, ?9 now, ?10 lease expires at,
-- ?11 machine, ?12 boot, ?13 pid namespace, ?14 process start, ?15 slot, ?16 slot file, ?17 whether the lease may grow,
-- ?18 who registers it over the network
-- Index: primary key.
INSERT INTO jobforge_workers (
    id,
    name,
    hostname,
    pid,
    queues,
    types,
    slots,
    state,
    lease_ms,
    granted_ms,
    started_at,
    last_heartbeat_at,
    lease_expires_at,
    machine_id,
    boot_id,
    pid_namespace,
    process_start,
    slot,
    slot_id,
    lease_scales,
    registered_by
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'live', ?8, ?8, ?9, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
ON CONFLICT (id) DO NOTHING;
