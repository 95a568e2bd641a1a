-- What pools of keys have learnt of their keys. A key is named by its fingerprint.
CREATE TABLE gateway_key_states (
    pool TEXT NOT NULL,
    key_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    cooling_until BIGINT,
    own_fault BOOLEAN NOT NULL,
    failures BIGINT NOT NULL,
    cooldowns BIGINT NOT NULL,
    cooldown_ms BIGINT NOT NULL,
    demotion BIGINT NOT NULL,
    saved BIGINT NOT NULL,
    PRIMARY KEY (pool, key_id)
);
