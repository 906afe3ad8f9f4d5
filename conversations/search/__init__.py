"""Search in the history.

tokenizer   text -> the words that are indexed and asked for, the same on every database
texts       what of a conversation and its messages is searched
query       what somebody asks for, and where a text has it
owners      whose documents an index entry belongs to
schema      the index and the triggers that mark what is to be indexed, as SQL
documents   what is written of a message or a title
indexing    marks -> documents
rebuilding  the index made anew
bulk_indexing  a whole history, by all processors
index       which documents have these words
hits        the search itself: documents and what is not indexed yet, each checked against its row
snippets    the words around what was found
"""
