"""What a chain takes for granted in a PostgreSQL database and an empty one lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import fetch
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from alembic_rescue.dialects.scratch import Surroundings

_QUERY = unshadowed("""
    SELECT current_user::text,
           (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
           ARRAY(SELECT DISTINCT r.rolname::text FROM pg_shdepend d
                   JOIN pg_roles r ON r.oid = d.refobjid
                  WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass::oid AND r.rolname !~ '^pg_'
                    AND (d.dbid = 0 OR d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
                  ORDER BY 1),
           ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1 LIMIT 300),
           ARRAY(SELECT nspname::text FROM pg_namespace
                  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1),
           ARRAY(SELECT e.extname::text FROM pg_extension e WHERE e.extname <> 'plpgsql' ORDER BY 1),
           ARRAY(SELECT n.nspname::text FROM pg_extension e
                   JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.extname <> 'plpgsql' ORDER BY e.extname),
           (SELECT CASE WHEN source = ANY (ARRAY['database', 'user', 'database user']) THEN reset_val ELSE '' END
              FROM pg_settings WHERE name = 'search_path'),
           (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'),
           (SELECT rolname::text FROM pg_roles WHERE oid = 10),
           ARRAY(SELECT a.name::text FROM pg_available_extensions a ORDER BY 1),
           ARRAY(SELECT a.name::text FROM pg_available_extensions a
                   JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
                  WHERE v.superuser AND NOT v.trusted ORDER BY 1),
           has_database_privilege(current_database()::text, 'CREATE'),
           -- Hosts let roles of their own create what only superusers may: who is a member of one is not judged.
           EXISTS (SELECT FROM pg_roles r WHERE r.rolname ~ '(super|admin)' AND r.rolname <> current_user
                      AND pg_has_role(r.oid, 'MEMBER')),
           pg_encoding_to_char(d.encoding), d.datcollate::text, d.datctype::text
      FROM pg_database d WHERE d.datname = current_database()
""")


def of(connection: Connection) -> Surroundings:
    """Read the surroundings in one query, through the driver's cursor."""
    row: tuple[Any, ...] = fetch(connection, _QUERY)[0]
    role, superuser, roles, every_role, schemas, extensions, places, search_path, timezone, *rest = row
    first_role, available, for_superusers, may_create, is_hosts, encoding, collate, ctype = rest
    return Surroundings(
        role=role,
        superuser=bool(superuser),
        roles=tuple(roles),
        other_roles=tuple(name for name in every_role if name not in set(roles)),
        schemas=tuple(schemas),
        extensions=tuple(zip(extensions, places, strict=True)),
        available=tuple(available),
        barred=() if superuser or is_hosts else _barred(available, for_superusers, may_create=may_create),
        search_path=search_path or "",
        timezone=timezone or "",
        first_role=first_role_beside(role, first_role, superuser=bool(superuser)),
        encoding=encoding,
        collate=collate,
        ctype=ctype,
    )


def _barred(
    available: Sequence[str], for_superusers: Sequence[str], *, may_create: bool
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    others = () if may_create else tuple(name for name in available if name not in set(for_superusers))
    return (
        ("only a superuser may create it", tuple(for_superusers)),
        ("it lacks CREATE on the database", others),
    )


def first_role_beside(role: str, first_role: str, *, superuser: bool) -> str:
    """Return the name of the scratch server's first role, a superuser: the live server's, unless `role` has it.

    If the live server's first role is `role` and no longer a superuser, the name is another one.
    """
    return f"{role}_superuser" if first_role == role and not superuser else first_role
