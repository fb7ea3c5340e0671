#!/usr/bin/env bash
#
@ABOUT@
#
# It needs bash and psql, and asks before it writes. Look first: bash FILE --dry-run
# To undo: bash FILE --undo. For help: bash FILE --help

if [ -z "${BASH_VERSION:-}" ]; then
  echo "error[usage]: This needs bash. Nothing was written." >&2
  echo "help: Run it with: bash $0" >&2
  exit 2
fi
set -euo pipefail

made_by=@Q_TOOL@
made_at=@Q_MADE@
patience=@PATIENCE@ # seconds, for one psql: a server can go silent, and then ends nothing by its own timeouts
made_with=@Q_COMMAND@
database=@Q_DATABASE_TOLD@
server=@Q_SERVER@
table=@Q_TABLE_TOLD@
rows_before=@Q_BEFORE_ROWS@
rows_after=@Q_AFTER_ROWS@
pending=@Q_PENDING@
next_step=@Q_NEXT@

self=$(printf '%q' "$0")
readonly done_=0 usage_=2 refused_=3 unreachable_=4 unverified_=5

# --- the SQL -------------------------------------------------------------------------------------------------

# First in every transaction.
sql_session() {
  cat <<'END_OF_SQL'
@SESSION@
END_OF_SQL
}

# Nobody else is writing.
sql_alone() {
  cat <<'END_OF_SQL'
@ALONE@
END_OF_SQL
}

# What a lost connection was about to write, it has written or never will.
sql_ended() {
  cat <<'END_OF_SQL'
@ENDED@
END_OF_SQL
}

# Nobody else writes meanwhile.
sql_lock() {
  cat <<'END_OF_SQL'
@LOCK@
END_OF_SQL
}

# It is the right database, and its rows are those before or after.
sql_checks() {
  cat <<'END_OF_SQL'
@DATABASE@

@ROWS@
SELECT 'stands:' || current_setting('alembic_rescue.stands');
END_OF_SQL
}

# What was proved, asked again.
sql_evidence() {
  cat <<'END_OF_SQL'
@EVIDENCE@
END_OF_SQL
}

# The compare-and-swap.
sql_stamp() {
  cat <<'END_OF_SQL'
@STAMP@
END_OF_SQL
}

# The same, back. It does not ask for the objects: they need not be there to go back.
sql_undo() {
  cat <<'END_OF_SQL'
@UNDO@
END_OF_SQL
}

# --- telling -------------------------------------------------------------------------------------------------

bold='' red='' plain=''
if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  bold=$'\033[1m' red=$'\033[31m' plain=$'\033[0m'
fi

say() { printf '%s\n' "$*" >&2 || true; } # stderr may be closed

# fail STATUS CODE FACT [WAY ON]...
fail() {
  local status=$1 line
  say "${red}error[$2]:${plain} ${bold}$3${plain}"
  shift 3
  for line in "$@"; do say "help: $line"; done
  exit "$status"
}

usage() {
  cat <<END_OF_HELP
Sets $table in $database
  from $rows_before
  to   $rows_after

Usage: DATABASE_URL=postgresql://user:...@host:5432/name bash $self [OPTIONS]

  --dry-run        check everything, write nothing
  --undo           go back from $rows_after to $rows_before
  -y, --yes        skip the confirmation; required without a terminal
  --address ADDRESS
                   accept that the same server now has this address
  --url URL        the database, without a password; DATABASE_URL by default
  --host NAME, --port NUMBER, --username NAME, --dbname NAME
                   the same in parts; they win over the URL
  --no-color       print no colours; setting NO_COLOR does the same
  -h, --help       show this message and exit

URLs may have SQLAlchemy's forms: postgresql+psycopg2://, postgres://. The password comes from the URL in
DATABASE_URL, from PGPASSWORD, from ~/.pgpass, or from you at the terminal. It never comes from the command line,
which every user of this host can see. All of psql's variables apply: PGSSLMODE (require by default for another
host), PGSSLROOTCERT, PGCONNECT_TIMEOUT (10 by default), PGSERVICE and so on.

Exit status: 0 done, or nothing to do; 2 usage; 3 refused; 4 cannot connect, no permission, or a lock timeout;
5 written but not verified, or unknown; 129, 130, 143 ended by a signal. Ctrl-C cancels what runs, and says whether
something was written. After kill -9 it cannot: what was running on the server ends within @WITHIN@ seconds (a COMMIT
that waits for a standby may take longer), and a second run says where the rows are.

Made at $made_at by $made_by, with: $made_with
END_OF_HELP
}

# --- the connection ------------------------------------------------------------------------------------------

form_of_urls='^postgres(ql)?([+][a-z0-9_]+)?://'
form_of_logins='^([^:/?@]*)(:([^@]*))?@(.*)$'
form_of_local='^(|/.*|@.*|localhost|127([.][0-9]{1,3}){3}|::1)$'
form_of_hosts='^([[][^]]*[]]|[^:]*)(:([0-9]*))?$'

# What a URL says with percent signs: in $decoded.
decode() {
  local rest=$1 hex character
  decoded=''
  while [[ $rest == *%* ]]; do
    decoded+=${rest%%\%*}
    rest=${rest#*%}
    hex=${rest:0:2}
    if [[ $hex == [0-9A-Fa-f][0-9A-Fa-f] ]]; then
      printf -v character '%b' "\\x$hex"
      decoded+=$character
      rest=${rest:2}
    else
      decoded+=%
    fi
  done
  decoded+=$rest
}

# Put a URL into psql's variables: on its command line, everybody on this host would see the password.
use_url() {
  local url=$1 rest password query='' place name='' hosts='' ports='' item
  if [[ ! $url =~ $form_of_urls ]]; then
    fail $usage_ bad-url "The URL is not a PostgreSQL URL." "Write it as postgresql://user:...@host:5432/name"
  fi
  rest=${url#*://}
  if [[ $rest =~ $form_of_logins ]]; then
    rest=${BASH_REMATCH[4]} password=${BASH_REMATCH[3]}
    if [[ -n ${BASH_REMATCH[1]} ]]; then
      decode "${BASH_REMATCH[1]}"
      export PGUSER=$decoded
    fi
    while [[ ${rest%%[/?]*} == *@* ]]; do # one that is not encoded
      password+=@${rest%%@*}
      rest=${rest#*@}
    done
    if [[ -n $password ]]; then
      decode "$password"
      export PGPASSWORD=$decoded
    fi
  fi
  if [[ $rest == *\?* ]]; then query=${rest#*\?} rest=${rest%%\?*}; fi
  if [[ $rest == */* ]]; then name=${rest#*/} rest=${rest%%/*}; fi
  if [[ -n $rest ]]; then
    place=$rest,
    while [[ -n $place ]]; do
      item=${place%%,*} place=${place#*,}
      if [[ $item =~ $form_of_hosts ]]; then
        decode "${BASH_REMATCH[1]}"
        ports+=,${BASH_REMATCH[3]:-}
        decoded=${decoded#\[}
        hosts+=,${decoded%\]}
      else
        fail $usage_ bad-url "The URL's host is unreadable."
      fi
    done
    unset PGHOSTADDR PGSERVICE
    export PGHOST=${hosts#,}
    if [[ $ports == *[0-9]* ]]; then export PGPORT=${ports#,}; else unset PGPORT; fi
  fi
  if [[ -n $name ]]; then
    decode "$name"
    export PGDATABASE=$decoded
  fi
  while [[ -n $query ]]; do
    item=${query%%&*}
    if [[ $query == *\&* ]]; then query=${query#*&}; else query=''; fi
    decode "${item#*=}"
    case ${item%%=*} in
      host)
        unset PGHOSTADDR PGSERVICE
        export PGHOST=$decoded ;;
      hostaddr) export PGHOSTADDR=$decoded ;;
      port) export PGPORT=$decoded ;;
      user) export PGUSER=$decoded ;;
      password) export PGPASSWORD=$decoded ;;
      dbname | database) export PGDATABASE=$decoded ;;
      sslmode) export PGSSLMODE=$decoded ;;
      ssl) case $decoded in true | True | 1) export PGSSLMODE=require ;; false | False | 0) export PGSSLMODE=disable ;; *) export PGSSLMODE=$decoded ;; esac ;;
      sslrootcert) export PGSSLROOTCERT=$decoded ;;
      sslcert) export PGSSLCERT=$decoded ;;
      sslkey) export PGSSLKEY=$decoded ;;
      sslcrl) export PGSSLCRL=$decoded ;;
      channel_binding) export PGCHANNELBINDING=$decoded ;;
      gssencmode) export PGGSSENCMODE=$decoded ;;
      target_session_attrs) export PGTARGETSESSIONATTRS=$decoded ;;
      connect_timeout) export PGCONNECT_TIMEOUT=$decoded ;;
      options)
        decode "$(printf '%s' "${item#*=}" | tr + ' ')"
        export PGOPTIONS=$decoded
        ;;
      *) say "note: the URL's ${item%%=*} is none of psql's, and is left out" ;;
    esac
  done
}

# Whether each of psql's hosts is this one. Its addresses win over their names; nobody knows what a service names.
is_local() {
  local hosts=${PGHOSTADDR:-${PGHOST:-}}, host
  if [[ -n ${PGSERVICE:-} ]]; then return 1; fi
  while [[ -n $hosts ]]; do
    host=${hosts%%,*} hosts=${hosts#*,}
    if [[ ! $host =~ $form_of_local ]]; then return 1; fi
  done
}

# Why there is no connection, and what that usually means on a hosted database.
cannot_connect() {
  local said=$1
  local hosted='On a hosted database: see whether it is suspended or being moved, and whether this host is on its list of allowed addresses.'
  case $said in
    *'password authentication failed'* | *'no password supplied'* | *'role "'*'does not exist'* | *'user name'*'not found'*)
      fail $unreachable_ login-refused "The login was rejected: $said" \
        "Take the URL from the platform as it is now: passwords are rotated. Special characters of a password are percent-encoded in a URL: %40 for @." \
        "Use the owner of the tables, the role that runs the migrations. A pooler may want another name: user.project." ;;
    *'no pg_hba.conf entry'* | *'not allowed'* | *'not in'*'allow'*)
      fail $unreachable_ login-refused "This host may not connect: $said" \
        "Add its address to the list of allowed addresses, or run this where the application runs." \
        "Where it says 'no encryption', set PGSSLMODE=require." ;;
    *'could not translate host name'* | *'Name or service not known'* | *'nodename nor servname'*)
      fail $unreachable_ unknown-host "Cannot resolve the host: $said" \
        "Internal host names work only within the platform's own network: take the external URL, or run this in the application's shell." ;;
    *'Connection refused'*)
      fail $unreachable_ connection-refused "No server answers: $said" \
        "Compare host and port with the platform's. The usual port is 5432; poolers use 6432 or 6543." \
        "$hosted" ;;
    *'timeout expired'* | *'timed out'* | *'Network is unreachable'* | *'No route to host'* | *'canceling statement due to connect'*)
      fail $unreachable_ connect-timeout "No answer: $said" \
        "An address that is not on the list of allowed ones is often just not answered; so is an internal one from outside." \
        "Free databases are suspended when they are not used: open it in the platform's console, wait, and try again. PGCONNECT_TIMEOUT=60 waits longer." ;;
    *'does not support SSL'*)
      fail $unreachable_ encryption-failed "The server has no TLS: $said" \
        "On a network that you trust: PGSSLMODE=prefer bash $self" ;;
    *'too many'* | *'connection slots'* | *'max clients'*)
      fail $unreachable_ too-many-connections "The server has no free connections: $said" \
        "A stuck deployment often holds them: scale its workers down, or end idle sessions, and try again." ;;
    *'starting up'* | *'shutting down'* | *'recovery mode'*)
      fail $unreachable_ cannot-connect "The server is starting or stopping: $said" "Wait a minute, then try again." ;;
    *'unsupported startup parameter'* | *'prepared statement'*)
      fail $unreachable_ cannot-connect "A pooler rejected the connection: $said" \
        "Take the direct URL of the database, not the pooler's; leave options out of it." ;;
    *'database "'*'does not exist'*)
      fail $unreachable_ database-missing "The database does not exist: $said" "Compare the name with the platform's. It was $database." ;;
    *)
      fail $unreachable_ cannot-connect "Cannot reach the database: $said" "$hosted" ;;
  esac
}

# --- running the SQL -----------------------------------------------------------------------------------------

warned='' so_far='Nothing was written.' address='' child='' signal='' writing=''
state_line='[^:]+:  ([0-9A-Z]{5}): (.*)'
form_of_codes='^[[]([a-z-]+)[]] (.*)$'

# A signal ends what runs, not this file: it says first whether something was written.
# shellcheck disable=SC2317,SC2329 # the traps run it
interrupted() {
  signal=$1
  caught=yes
  if [[ -n $child ]]; then
    kill -INT "$child" 2>/dev/null || true # psql has the server cancel the statement
  elif [[ -z $writing ]]; then
    fail "$signal" interrupted "Interrupted. $so_far"
  fi
}
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM

# Run a program, for so long at most.
within() {
  if command -v timeout >/dev/null; then
    exec timeout "$patience" "$@"
  elif command -v perl >/dev/null; then # as macOS has it
    exec perl -e 'alarm shift; exec @ARGV' "$patience" "$@"
  else
    exec "$@"
  fi
}

# Run SQL in one psql: its output is in $output, its exit status in $status, the server's code in $code.
# The password is in PGPASSWORD, or psql finds it in ~/.pgpass: -w keeps it from asking, for which there is no answer.
run_sql() {
  local line caught=''
  : >"$said" # nothing of the last one
  status=0 code='' reason='' held=''
  within psql -X -q -A -t -w -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -v SHOW_CONTEXT=never \
    -v so_far="$so_far" -v address="$address" >"$said" 2>&1 <<<"$1" &
  child=$!
  if [[ -n $caught ]]; then kill -INT "$child" 2>/dev/null || true; fi
  while
    caught=''
    if wait "$child"; then status=0; else status=$?; fi
    [[ -n $caught ]] # then it was not the end of psql that was waited for
  do :; done
  child=''
  IFS= read -r -d '' output <"$said" || true # no program of its own, which a Ctrl-C would end
  output=${output%$'\n'}
  while IFS= read -r line; do
    if [[ $line == *'WARNING:  '* ]]; then
      line=${line#*'WARNING:  '}
      line=${line#?????: }
      if [[ $warned != *"$line"* ]]; then say "warning: $line"; fi
      warned+=$line
    elif [[ $line == '  process '* ]]; then
      held+=$line$'\n'
    elif [[ -z $code && $status -ne 0 && $line =~ $state_line && ${BASH_REMATCH[1]} != 0[01]* ]]; then
      code=${BASH_REMATCH[1]} reason=${BASH_REMATCH[2]}
    fi
  done <<<"$output"
  if [[ $status -eq 124 || $status -eq 142 ]]; then
    status=2 code='' reason="timed out: the server did not answer for $patience seconds"
  elif [[ -z $reason ]]; then
    reason=${output##*psql: }
    reason=${reason#error: }
    reason=${reason//[$'\n\t']/ }
  fi
  kind='database-error'
  if [[ $reason =~ $form_of_codes ]]; then kind=${BASH_REMATCH[1]} reason=${BASH_REMATCH[2]}; fi
}

# The statement failed: say why.
explain() {
  if [[ -n $code && $reason != *"$so_far"* ]]; then reason+=". $so_far"; fi
  case $code in
    AR003) fail $refused_ "$kind" "$reason" ;;
    55P03)
      if [[ -n $held ]]; then say "Locks on $table:"$'\n'"${held%$'\n'}"; fi
      fail $unreachable_ lock-timeout "Could not get a lock in time: ${reason% Locks on*}" \
        "Often it is the stuck deployment itself: stop it, or end its session as above, and try again." ;;
    57014) fail $unreachable_ statement-timeout "The server did not answer in time: $reason" "Try again at a quieter time." ;;
    42501)
      fail $unreachable_ permission-denied "This role lacks permission: $reason" \
        "Use the owner of $table: the role that runs the migrations." ;;
    25006)
      fail $unreachable_ read-only-server "The server does not accept writes: $reason" \
        "Take the URL of the primary, not of a read-only replica; see whether the database is over its storage limit." ;;
    '') cannot_connect "$reason" ;;
    *) fail $unreachable_ "$kind" "The server failed with ($code): $reason" ;;
  esac
}

# look SQL [MORE SQL]: where the rows stand, as seen in one transaction that writes nothing: before or after, in $stands.
look() {
  run_sql "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
$session
$1
$checks
${2:-}
ROLLBACK;"
  stands=''
  if [[ $output == *stands:before* ]]; then stands=before; elif [[ $output == *stands:after* ]]; then stands=after; fi
}

# The same, before anything is written: a signal is the end.
look_first() {
  look "$(sql_alone)" "$evidence"
  if [[ -n $signal ]]; then fail "$signal" interrupted "Interrupted. $so_far"; fi
}

# --- what it does --------------------------------------------------------------------------------------------

undo=no yes=no dry_run=no url=${DATABASE_URL:-} host='' port='' user='' name=''

while [[ $# -gt 0 ]]; do
  case $1 in
    --address | --url | --host | --port | --username | --dbname)
      if [[ $# -lt 2 ]]; then fail $usage_ usage "$1 needs a value." "bash $self --help"; fi
      option=$1 value=$2
      shift ;;
    --address=* | --url=* | --host=* | --port=* | --username=* | --dbname=*) option=${1%%=*} value=${1#*=} ;;
    --undo) undo=yes option='' ;;
    --dry-run) dry_run=yes option='' ;;
    -y | --yes) yes=yes option='' ;;
    --no-color) bold='' red='' plain='' option='' ;;
    -h | --help)
      usage
      exit $done_ ;;
    *) fail $usage_ usage "Unknown option $1." "bash $self --help" ;;
  esac
  shift
  case $option in
    --url)
      url=$value
      if [[ $url == *://*:*@* || $url == *password=* ]]; then
        fail $usage_ usage "The URL contains a password, and other users of this host can see the command line." \
          "Put the URL into the variable DATABASE_URL, or the password into PGPASSWORD."
      fi ;;
    --address) address=$value ;;
    --host) host=$value ;;
    --port) port=$value ;;
    --username) user=$value ;;
    --dbname)
      name=$value
      if [[ $name == *://* || $name == *=* ]]; then
        fail $usage_ usage "--dbname takes only a name." "Put the URL in the variable DATABASE_URL."
      fi ;;
  esac
done

if ! command -v psql >/dev/null; then
  fail $unreachable_ psql-is-missing "psql is not installed, but this file needs it." \
    "macOS: brew install libpq, then: export PATH=\"\$(brew --prefix libpq)/bin:\$PATH\"" \
    "Debian, Ubuntu: apt-get update && apt-get install -y postgresql-client" \
    "Alpine: apk add postgresql-client"
fi

if ! said=$(mktemp "${TMPDIR:-/tmp}/alembic-rescue.XXXXXX"); then
  fail $usage_ usage "There is no room for a temporary file. Nothing was written." "Set TMPDIR to a folder that can be written to."
fi
trap 'rm -f "$said"' EXIT

if [[ -n $url ]]; then use_url "$url"; fi
unset DATABASE_URL url
if [[ -n $host ]]; then
  export PGHOST=$host
  unset PGHOSTADDR PGSERVICE
fi
if [[ -n $port ]]; then export PGPORT=$port; fi
if [[ -n $user ]]; then export PGUSER=$user; fi
if [[ -n $name ]]; then export PGDATABASE=$name; fi
if [[ -z ${PGHOST:-}${PGHOSTADDR:-}${PGDATABASE:-}${PGSERVICE:-} ]]; then
  fail $usage_ usage "No database is given." "Set DATABASE_URL, or pass --host and --dbname. It was made for $database."
fi
if [[ -z ${PGSSLMODE:-} ]] && ! is_local; then export PGSSLMODE=require; fi
export PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-10} PGCLIENTENCODING=UTF8 PGAPPNAME=alembic-rescue LC_ALL=C

if [[ $undo == yes ]]; then
  from=after to=before rows_from=$rows_after rows_to=$rows_before write=$(sql_undo) evidence=''
  checked="This is the right database, and it is still where the stamp left it."
else
  from=before to=after rows_from=$rows_before rows_to=$rows_after write=$(sql_stamp) evidence=$(sql_evidence)
  checked="This is the right database, and what was proved is unchanged, as far as this script can check."
fi

session=$(sql_session) checks=$(sql_checks) ended_sql=$(sql_ended)

tell_next() {
  if [[ $undo == yes ]]; then
    printf 'Alembic is where it was before the stamp.\n'
  else
    printf '\nNext steps\n  1. Redeploy'
    if [[ -n $next_step ]]; then printf ', or run:\n       %s' "$next_step"; fi
    printf '\n     %s.\n' "$pending"
    printf '  2. To undo, as long as no migration has run since:\n       bash %s --undo\n' "$self"
  fi
}

look_first
if [[ $status -ne 0 && $output == *'no password supplied'* && -t 0 ]]; then
  IFS= read -r -s -p 'Password: ' PGPASSWORD || true
  say ''
  export PGPASSWORD
  look_first
fi
if [[ $status -ne 0 ]]; then explain; fi

if [[ $stands == "$to" ]]; then
  printf 'Nothing to do: %s is already at %s.\n' "$table" "$rows_to"
  tell_next
  exit $done_
fi

say "${bold}$table in $database${plain} ($server)"
say "  from $rows_from"
say "  to   $rows_to"
say "$checked Nothing has been written yet."
if [[ $dry_run == yes ]]; then exit $done_; fi
if [[ $yes != yes ]]; then
  if [[ ! -t 0 ]]; then
    fail $usage_ no-terminal "This file asks before it writes, but there is no terminal." "Repeat with: bash $self --yes"
  fi
  read -r -p "Set the rows from $rows_from to $rows_to? [y/N]: " answer || say '' # the end of the input is no yes
  case $answer in y | Y | yes) ;; *) fail $refused_ not-confirmed "The answer was not yes. Nothing was written." ;; esac
fi

# Where this file was killed, psql does not commit behind its back.
sql="BEGIN ISOLATION LEVEL READ COMMITTED;
$session
$(sql_lock)
$checks
$evidence
$write
\\set alive \`kill -0 $$ && echo on || echo off\`
\\if :alive
COMMIT;
\\endif"
writing=yes # from here on a signal does not end it before it is known what became of it
run_sql "$sql"
ended='' lost='' lost_code='' so_far='It was written.'
if [[ $status -ne 0 ]]; then
  if [[ -n $signal ]]; then
    lost='Interrupted.' lost_code=interrupted
  elif [[ $status -ne 3 || -z $code ]]; then # with 3 it was a statement that failed
    lost="The connection was lost: $reason." lost_code=connection-lost
  else
    so_far='Nothing was written.'
    explain
  fi
  so_far='It is not known whether it was written.' ended=$ended_sql
fi

look "$ended"
if [[ $stands == "$to" ]]; then
  printf 'Written, and verified on a new connection: %s is at %s (was %s).\n' "$table" "$rows_to" "$rows_from"
  tell_next
  exit "${signal:-$done_}"
fi
if [[ $stands == "$from" && -n $lost ]]; then
  fail "${signal:-$unreachable_}" "$lost_code" "$lost Nothing was written." "To go on, run it again."
fi
if [[ $code == AR005 ]]; then lost_code=$kind; elif [[ -z $lost ]]; then lost_code=not-verified; fi
if [[ $stands == "$from" ]]; then reason="it still sees $rows_from"; fi
fail $unverified_ "$lost_code" "${lost:+$lost }$so_far What a new connection says: $reason" \
  "Do not deploy yet. See where the rows stand: bash $self --dry-run" \
  "If they are at $rows_from, run it again. If they are at $rows_to, it was written."
