//! The tables, in the portable types that both databases share.

diesel::table! {
    users (id) {
        id -> Text,
        username -> Text,
        username_key -> Text,
        email -> Nullable<Text>,
        email_key -> Nullable<Text>,
        email_verified -> Nullable<Bool>,
        name -> Nullable<Text>,
        picture -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        groups -> Text,
        disabled_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        email_issuer -> Nullable<Text>,
        roles -> Text,
        kind -> Text,
        locale -> Nullable<Text>,
        own_picture -> Nullable<Text>,
        password_temporary -> Bool,
    }
}

diesel::table! {
    groups (name) {
        name -> Text,
        description -> Nullable<Text>,
        parent -> Nullable<Text>,
        role -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    instances (id) {
        id -> Text,
        issuer -> Text,
        version -> Text,
        started_at -> BigInt,
        seen_at -> BigInt,
    }
}

diesel::table! {
    invitations (id) {
        id -> Text,
        digest -> Binary,
        kind -> Text,
        email -> Nullable<Text>,
        email_key -> Nullable<Text>,
        mailed -> Bool,
        groups -> Text,
        uses_left -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    identities (id) {
        id -> Text,
        user_id -> Text,
        upstream -> Text,
        issuer -> Text,
        subject -> Text,
        groups -> Text,
        created_at -> BigInt,
        confirmed_at -> BigInt,
        claims -> Nullable<Binary>,
        linked_by -> Text,
        linked_at -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        digest -> Binary,
        user_id -> Text,
        upstream -> Nullable<Text>,
        upstream_sid -> Nullable<Text>,
        auth_time -> BigInt,
        amr -> Text,
        acr -> Nullable<Text>,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        confirmed_at -> BigInt,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        address -> Text,
        user_agent -> Text,
    }
}

diesel::table! {
    grants (id) {
        id -> Text,
        user_id -> Text,
        client_id -> Text,
        session_id -> Text,
        code_digest -> Binary,
        code_challenge -> Nullable<Text>,
        redirect_uri -> Text,
        scope -> Text,
        auth_time -> BigInt,
        amr -> Text,
        acr -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
        revoked_because -> Nullable<Text>,
        trace_id -> Text,
        upstream -> Nullable<Text>,
    }
}

diesel::table! {
    refresh_tokens (digest) {
        digest -> Binary,
        grant_id -> Text,
        generation -> BigInt,
        issued_at -> BigInt,
        expires_at -> BigInt,
        consumed_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    revoked_access_tokens (jti) {
        jti -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    personal_access_tokens (id) {
        id -> Text,
        digest -> Binary,
        user_id -> Text,
        name -> Text,
        scope -> Text,
        upstream -> Nullable<Text>,
        acr -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        last_client -> Nullable<Text>,
        last_address -> Nullable<Text>,
        last_user_agent -> Nullable<Text>,
        networks -> Text,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    password_guesses (key) {
        key -> Binary,
        failures -> BigInt,
        last_failed_at -> BigInt,
    }
}

diesel::table! {
    totp_factors (id) {
        id -> Text,
        user_id -> Text,
        sealed -> Binary,
        name -> Text,
        last_step -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    passkeys (id) {
        id -> Text,
        user_id -> Text,
        credential_id -> Binary,
        credential -> Text,
        name -> Text,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    recovery_codes (digest) {
        digest -> Binary,
        user_id -> Text,
        created_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    signing_keys (id) {
        id -> Text,
        alg -> Text,
        generation -> BigInt,
        public_jwk -> Text,
        private_key -> Binary,
        created_at -> BigInt,
        published_at -> BigInt,
        signs_from -> BigInt,
        signs_until -> Nullable<BigInt>,
        gone_at -> Nullable<BigInt>,
        dropped_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    audit_events (id) {
        id -> Text,
        at -> BigInt,
        action -> Text,
        outcome -> Text,
        reason -> Nullable<Text>,
        trace_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        client_id -> Nullable<Text>,
        upstream -> Nullable<Text>,
        address -> Nullable<Text>,
        detail -> Text,
    }
}

diesel::table! {
    facts (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    sealed_facts (name) {
        name -> Text,
        value -> Binary,
    }
}

diesel::table! {
    leases (session_id) {
        session_id -> Text,
        upstream -> Text,
        sealed -> Binary,
        confirmed_by -> Text,
        not_before -> BigInt,
        uncertain -> Bool,
        claim -> Nullable<Text>,
        claimed_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    logout_deliveries (session_id, client_id) {
        session_id -> Text,
        client_id -> Text,
        user_id -> Text,
        ended_at -> BigInt,
        due_at -> Nullable<BigInt>,
        tries -> BigInt,
        delivered_at -> Nullable<BigInt>,
        fault -> Nullable<Text>,
    }
}

diesel::table! {
    mail_outbox (id) {
        id -> Text,
        kind -> Text,
        recipient -> Text,
        recipient_key -> Text,
        letter -> Nullable<Binary>,
        created_at -> BigInt,
        expires_at -> BigInt,
        next_try_at -> Nullable<BigInt>,
        tries -> BigInt,
        sent_at -> Nullable<BigInt>,
        gave_up_at -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    one_time_links (digest) {
        digest -> Binary,
        purpose -> Text,
        user_id -> Text,
        email -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    recovery_requests (id) {
        id -> Text,
        name -> Text,
        opened -> Text,
        address -> Text,
        asked_at -> BigInt,
    }
}

diesel::table! {
    deletions (user_id) {
        user_id -> Text,
        asked_at -> BigInt,
        due_at -> BigInt,
    }
}

diesel::table! {
    pictures (user_id) {
        user_id -> Text,
        name -> Text,
        content -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    user_attributes (user_id, name) {
        user_id -> Text,
        name -> Text,
        value -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    waiting_accounts (user_id) {
        user_id -> Text,
        asked_at -> BigInt,
    }
}

diesel::table! {
    consents (user_id, client_id) {
        user_id -> Text,
        client_id -> Text,
        scope -> Text,
        given_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::joinable!(identities -> users (user_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(leases -> sessions (session_id));
diesel::joinable!(grants -> users (user_id));
diesel::joinable!(refresh_tokens -> grants (grant_id));
diesel::allow_tables_to_appear_in_same_query!(
    users,
    identities,
    sessions,
    leases,
    grants,
    refresh_tokens,
    revoked_access_tokens
);
