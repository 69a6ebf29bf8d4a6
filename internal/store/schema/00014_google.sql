-- +goose Up

-- Google's tokenized form of payment: decision 028 says in which bucket each row lies. Tokens and phone numbers are
-- sealed, or keyed hashes.

-- fop_call is one of Google's calls that was answered with 200; a capture's also has what was given back of it.
CREATE TABLE fop_call (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    association UUID NOT NULL,
    about UUID NOT NULL,
    proven UUID NOT NULL,
    prev UUID NOT NULL,
    last_refund UUID NOT NULL,
    transfer UUID NOT NULL,
    statement UUID NOT NULL,
    amount_minor BIGINT NOT NULL,
    refunded_minor BIGINT NOT NULL,
    limit_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    integration TEXT NOT NULL,
    method TEXT NOT NULL,
    account TEXT NOT NULL,
    request_id TEXT NOT NULL,
    print TEXT NOT NULL,
    state TEXT NOT NULL,
    result TEXT NOT NULL,
    answer TEXT NOT NULL,
    currency TEXT NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- fop_association is one link of a wallet with a Google user.
CREATE TABLE fop_association (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    prev UUID NOT NULL,
    made_by UUID NOT NULL,
    expires_us BIGINT NOT NULL,
    closed_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    integration TEXT NOT NULL,
    name TEXT NOT NULL,
    token TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- fop_linked is what a customer has of links.
CREATE TABLE fop_linked (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    newest UUID NOT NULL,
    open_links BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    codes TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- fop_spent is what was bought with a link; each purchase changes it.
CREATE TABLE fop_spent (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    association UUID NOT NULL,
    newest UUID NOT NULL,
    waiting BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    sums TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
) WITH (fillfactor = 60);

-- fop_proof is that a customer has signed in on the page that Google sent them to.
CREATE TABLE fop_proof (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    association UUID NOT NULL,
    used_by UUID NOT NULL,
    until_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    integration TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    how TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- fop_code is a code that was sent by SMS.
CREATE TABLE fop_code (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    customer UUID NOT NULL,
    association UUID NOT NULL,
    made_for UUID NOT NULL,
    used_by UUID NOT NULL,
    tries_left BIGINT NOT NULL,
    sendings BIGINT NOT NULL,
    sent_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    integration TEXT NOT NULL,
    name TEXT NOT NULL,
    print TEXT NOT NULL,
    state TEXT NOT NULL,
    hash TEXT NOT NULL,
    phone TEXT NOT NULL,
    matching TEXT NOT NULL,
    context TEXT NOT NULL,
    reference TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- fop_statement is what Google says that is owed.
CREATE TABLE fop_statement (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    told_by UUID NOT NULL,
    case_id UUID NOT NULL,
    transfer UUID NOT NULL,
    due_micros BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    from_us BIGINT NOT NULL,
    unto_us BIGINT NOT NULL,
    pay_us BIGINT NOT NULL,
    page_offset BIGINT NOT NULL,
    events BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    integration TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    currency TEXT NOT NULL,
    memo TEXT NOT NULL,
    summary TEXT NOT NULL,
    found TEXT NOT NULL,
    changes TEXT NOT NULL,
    payment_order TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- fop_line is an event of a statement, or the share of a bucket in its payment.
CREATE TABLE fop_line (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    statement UUID NOT NULL,
    call_id UUID NOT NULL,
    transfer UUID NOT NULL,
    number BIGINT NOT NULL,
    amount_micros BIGINT NOT NULL,
    fee_micros BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    ours TEXT NOT NULL,
    currency TEXT NOT NULL,
    verdict TEXT NOT NULL,
    state TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);

-- fop_told is what Google must hear from us.
CREATE TABLE fop_told (
    id UUID NOT NULL,
    bucket INTEGER NOT NULL,
    subject UUID NOT NULL,
    tries BIGINT NOT NULL,
    status BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    integration TEXT NOT NULL,
    method TEXT NOT NULL,
    account TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    answer TEXT NOT NULL,
    last_error TEXT NOT NULL,
    PRIMARY KEY (id, bucket)
);
