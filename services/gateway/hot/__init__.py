"""Facts and messages of who is asked about often, kept in memory, never older than the database.

PostgreSQL marks every change that recall can see (`recall_marks`, `message_marks`); what is kept is
used only while a statement of the same request finds exactly the marks it was read with.
"""
