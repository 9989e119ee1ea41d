"""Hours of load: 100 clients with random commands over paths with loss; does anything grow, drift or leak?"""
