"""What holds for all tests: the time that an example takes proves nothing, so that there is no deadline for one."""

from hypothesis import settings

settings.register_profile("neuralmesh", deadline=None)
settings.load_profile("neuralmesh")
