"""Every error that Shopkeeper raises on purpose.

The tree::

    ShopkeeperError
    ├── UserError            exit code 2: a wrong word, setting or path; the user can mend it
    │   ├── SettingsError    something in shopkeeper.toml, secrets.toml or the environment
    │   ├── UsageError       something in the call itself
    │   └── QueryError       SQL that the published version refuses
    ├── DataError            exit code 1: the data breaks a rule
    │   ├── ContractError    a file or table whose shape does not fit its contract
    │   │   └── TooLargeError    more was sent at once than is taken at once
    │   ├── LedgerError      rows or money that do not balance
    │   ├── BuildError       a model or a test of the warehouse failed
    │   └── ModelError       the data, or a model of older columns, do not allow to train, score or promote
    └── OutsideError         exit code 1: disk, network, another program
        ├── TransientError   worth trying again (timeouts, 429, 5xx)
        ├── LockedError      another run holds the project
        ├── StorageError     full disk, missing rights, a lake that cannot be read
        └── NewerFormatError a lake written by a newer Shopkeeper

A message reads: ``<what> must be <rule>; got <value> in <where>. <what to do>.``
"""


class ShopkeeperError(Exception):
    """Anything Shopkeeper raises on purpose; its text is a sentence for the person at the keyboard."""

    exit_code = 1


class UserError(ShopkeeperError):
    """The call or the configuration is wrong, and the user can mend it."""

    exit_code = 2


class SettingsError(UserError):
    """A setting is missing, unknown or out of range."""


class UsageError(UserError):
    """The call names something that does not exist or cannot be combined."""


class QueryError(UserError):
    """The published version refused a user's SQL."""


class DataError(ShopkeeperError):
    """The data breaks a rule."""


class ContractError(DataError):
    """A file or table does not have the shape that its contract asks for."""


class TooLargeError(ContractError):
    """More was sent at once than is taken at once; in parts, it would be taken."""


class LedgerError(DataError):
    """Rows or money do not balance."""


class BuildError(DataError):
    """A model or a test of the warehouse failed."""


class ModelError(DataError):
    """The data do not allow a model to be trained or scored, or a model does not fit the data's columns."""


class OutsideError(ShopkeeperError):
    """Something outside of Shopkeeper failed."""


class TransientError(OutsideError):
    """A failure that may pass; the caller tried again already as often as the settings say."""


class LockedError(OutsideError):
    """Another run holds the project."""


class StorageError(OutsideError):
    """The disk, the rights or the stored files do not allow it."""


class NewerFormatError(OutsideError):
    """The lake was written by a newer Shopkeeper than this one."""
