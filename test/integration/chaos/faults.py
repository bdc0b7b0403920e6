"""The table of faults: what is broken, how it is seen to be broken, how it is mended, and what it excuses.

A fault is a coroutine that gets the world (world.py) while the stream goes on, and returns once it has mended what it broke.
"""
import ledger


class Fault:
    def __init__(self, act, group, **options):
        self.act = act
        self.name = act.__name__.strip("_").replace("_", "-")
        self.group = group
        self.idea = " ".join((act.__doc__ or "").split())
        self.rules = options.pop("rules", ledger.Rules())
        self.settings = options.pop("settings", {})
        self.patience = options.pop("patience", 10)
        self.needs_services = options.pop("needs_services", False)
        self.kept = options.pop("kept", False)
        self.store_away = options.pop("store_away", False)  # then sends may be refused for as long
        self.stays = options.pop("stays", True)  # nobody who stays loses his connection
        self.sender = options.pop("sender", None)
        self.prepare = options.pop("prepare", None)
        self.check = options.pop("check", None)  # at the end, with the world
        self.scale = options.pop("scale", {})
        self.has_ways = options.pop("has_ways", True)  # else nodes reach broker and store by themselves, which nothing may break then
        self.takes = options.pop("takes", 0)  # seconds longer than others, at full length
        assert not options, options


TABLE = {}


def fault(group, **options):
    def register(act):
        entry = Fault(act, group, **options)
        TABLE[entry.name] = entry
        return act
    return register
