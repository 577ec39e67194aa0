CREATE TABLE public.orders (id int PRIMARY KEY, customer int NOT NULL, item text NOT NULL, total numeric NOT NULL);
CREATE TABLE public.payroll (name text, salary int);
INSERT INTO public.orders VALUES (1, 1, 'kettle', 39.90), (2, 2, 'lamp', 24.50), (3, 1, 'chair', 119.00);
INSERT INTO public.payroll VALUES ('Dana', 90000);
ALTER TABLE public.orders OWNER TO remit_admin;
ALTER TABLE public.payroll OWNER TO remit_admin;
