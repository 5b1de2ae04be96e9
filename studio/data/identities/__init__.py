"""Sets of individuals: who is in an image and which camera took it, as the public sets and people's folders say it.

`published` are the layouts of public sets, `folders` individuals by folder or by a pattern of names, `table` a CSV;
the reader `reid:` chooses among them. May use studio.core and studio.data.
"""
