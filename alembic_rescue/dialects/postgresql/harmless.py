"""Words before a parenthesis that change nothing: PostgreSQL's built-in functions that only read, types, keywords.

The list is not complete: ask a server, if there is one, about the others (``pg_proc.provolatile``).
"""

from __future__ import annotations

import re

_KEYWORDS = """
    all and any array as between by case cast check coalesce conflict constraint cross cube default distinct else end
    except excluded exists extract filter following for from full group grouping having if ilike in inner intersect
    into is join key lateral left like limit materialized natural not null nullif offset on only or order ordinality
    outer over overlaps overlay partition position preceding primary recursive references returning right rollup row
    rows select set sets similar some symmetric table tablesample then trim treat union unique using values when where
    while window with within elsif elseif return raise return_query loop exit continue perform xmlelement xmlforest
"""
_TYPES = """
    bigint bit bool boolean bpchar bytea char character cidr date decimal double float float4 float8 inet int int2 int4
    int8 integer interval name nchar numeric oid real regclass regproc regtype smallint text time timestamp
    timestamptz timetz tsquery tsvector uuid varbit varchar varying vector xml
"""
_READ = """
    abs acldefault aclexplode age ascii avg bit_and bit_length bit_or bool_and bool_or btrim cardinality cbrt ceil
    ceiling char_length character_length chr col_description concat concat_ws convert_from convert_to corr count
    covar_pop covar_samp cume_dist current_catalog current_database current_query current_role current_schema
    current_schemas current_setting current_user currval date_bin date_part date_trunc daterange decode degrees
    dense_rank div encode enum_first enum_last enum_range every exp extract factorial first_value floor format
    format_type gcd gen_random_uuid generate_series generate_subscripts get_bit get_byte greatest hashtext
    inet_server_addr initcap int4range int8range isempty isfinite iso_timestamp jsonb_object json_object lag last_value
    lastval lcm lead least length ln log log10 lower lower_inc lower_inf lpad ltrim make_date make_interval make_time
    make_timestamp make_timestamptz max md5 min mod mode now nth_value ntile numrange obj_description octet_length
    parse_ident percent_rank percentile_cont percentile_disc pg_advisory_lock pg_advisory_unlock
    pg_advisory_unlock_all pg_advisory_xact_lock pg_advisory_lock_shared pg_advisory_xact_lock_shared
    pg_backend_pid pg_blocking_pids pg_column_size pg_current_xact_id_if_assigned pg_database_size
    pg_encoding_to_char pg_identify_object pg_indexes_size pg_is_in_recovery pg_postmaster_start_time
    pg_relation_size pg_safe_snapshot_blocking_pids pg_size_pretty pg_sleep pg_table_size pg_tablespace_location
    pg_total_relation_size pg_try_advisory_lock pg_try_advisory_xact_lock pg_typeof pi power quote_ident quote_literal
    quote_nullable radians random rank regr_slope repeat replace reverse round row_number row_to_json rpad rtrim
    scale session_user set_byte set_config setseed setweight sha256 sha512 shobj_description sign similarity split_part
    sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp strip strpos substr substring sum
    timeofday timezone transaction_timestamp translate trunc tsrange tstzrange txid_current_if_assigned unaccent
    unnest upper upper_inc upper_inf user var_pop var_samp variance version width_bucket clock_timestamp
    localtime localtimestamp uuid_generate_v4 uuid_generate_v1 uuid_generate_v1mc uuid_generate_v5 uuid_nil
    uuidv4 uuidv7 websearch_to_tsquery plainto_tsquery phraseto_tsquery ts_rank ts_rank_cd ts_headline crypt gen_salt
    digest hmac
"""
_FAMILIES = re.compile(
    r"(to|json|jsonb|array|string|regexp|current|justify|pg_get|xml|range|width|has|inet|numnode|tsvector)_\w+"
    r"|\w+_(agg|is_visible|privilege|recv|send)"
)
"""Families whose built-in functions all only read, including ``has_..._privilege`` and ``pg_..._is_visible``."""
_WRITES = re.compile(r"(query|cursor|table|schema|database)_to_xml\w*")
_KNOWN = frozenset(f"{_KEYWORDS} {_TYPES} {_READ}".split())


def is_harmless(name: str) -> bool:
    """Whether the function of that name (in lower case) changes nothing that outlives the session."""
    return name in _KNOWN or (_FAMILIES.fullmatch(name) is not None and _WRITES.fullmatch(name) is None)
