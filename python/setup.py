"""Marks the wheel as one for a platform, because it contains a program, and for every Python 3."""

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class ProgramDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        # Installed beside PyTorch, into the folder for platforms, where the program looks for libtorch.
        return True


class ProgramWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(distclass=ProgramDistribution, cmdclass={"bdist_wheel": ProgramWheel})
