"""The pages of the collector: server-made HTML over what is stored. Model output is hostile input here.

`app` has the routes, `security` decides who may see them, `pages` makes them; the other modules turn an event into
what a page shows, and know neither HTTP nor the database.
"""
