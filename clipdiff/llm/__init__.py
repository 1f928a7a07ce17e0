"""LLMs write how two images differ; a filter keeps what can be used.

``generate`` plans questions about pairs and lets ``ask`` answer what the ``answer_store`` lacks,
within a ``budget``; ``filter`` cleans the answers (``text_filter``, by the ``rules``), cuts them to
the ``text_context`` of the CLIP, and checks their ``truth``. ``evaluation_answers`` does both for
what the evaluation asks; ``preview`` shows a question as it is sent.
"""
