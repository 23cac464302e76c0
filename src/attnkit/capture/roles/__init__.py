"""Roles: what each head does, with the evidence; one file a role."""

from attnkit.capture.roles.decide import ROLES, roles_of
from attnkit.capture.roles.layer import roles_of_layer
from attnkit.capture.roles.score import RoleScore, name_roles
from attnkit.capture.roles.table import role_table

__all__ = ["ROLES", "RoleScore", "name_roles", "role_table", "roles_of", "roles_of_layer"]
