"""The pipeline. Each stage is a folder, a process and a consumer group of its own.

stage        | reads                                                             | writes
------------ | ----------------------------------------------------------------- | -----------------------
gateway      | HTTP                                                              | memoire:messages, memoire:facts:extracted, memoire:facts:settled, memoire:jobs:consolidate
extractor    | memoire:messages                                                  | memoire:messages, memoire:facts:extracted
embedder     | memoire:facts:extracted                                           | memoire:facts:embedded
deduper      | memoire:facts:embedded                                            | memoire:facts:compared
superseder   | memoire:facts:compared                                            | memoire:facts:settled
maintenance  | memoire:jobs:optimize, memoire:jobs:decay, memoire:jobs:consolidate | memoire:facts:settled
sweeper      | the clock                                                         | any of the above but memoire:facts:settled

PostgreSQL remembers, Redis rings the bell: a row's `state` says what it waits for, a stream entry
only says that there is work. A test compares this table with the AsyncAPI document.
"""  # noqa: E501
