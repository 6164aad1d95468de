"""A graph in outline: what stands between its SimAM sites, for people to look at.

`units` parts the nodes at the landmarks, which are the sites and a detector's operators; `words`
says what a part is made of; `rows` puts them in order, one row for blocks that repeat.
"""

from simam_deploy.graph.outline.rows import Outline, Row, outline_of

__all__ = ["Outline", "Row", "outline_of"]
